// What happened to a resource of the issuer service between two of its states, for people.
//
// All functions are pure. `before` is null for a resource that is seen first.
#pragma once

#include <vector>

#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/service/events.h"

namespace certwright::issuer_service {

std::vector<service::EventNews> EventsOf(const issuer::v1::Certificate* before,
                                         const issuer::v1::Certificate& now);
std::vector<service::EventNews> EventsOf(const issuer::v1::CertificateRequest* before,
                                         const issuer::v1::CertificateRequest& now);
std::vector<service::EventNews> EventsOf(const issuer::v1::Issuer* before,
                                         const issuer::v1::Issuer& now);
std::vector<service::EventNews> EventsOf(const issuer::v1::ClusterIssuer* before,
                                         const issuer::v1::ClusterIssuer& now);

}  // namespace certwright::issuer_service
