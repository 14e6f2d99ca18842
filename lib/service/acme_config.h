// How ACME servers are spoken to, as the configuration says.
#pragma once

#include <string>
#include <vector>

#include "certwright/config/v1/common.pb.h"
#include "lib/http/curl_http_client.h"

namespace certwright::service {

// Every problem, "acme.field: rule" each.
std::vector<std::string> ValidateAcme(const config::v1::Acme& config);

// `config` is valid.
http::CurlHttpClientOptions ToHttpOptions(const config::v1::Acme& config,
                                          std::string user_agent);

// Those variables of the environment that programs take a proxy from and that are set. None of
// them counts here.
std::vector<std::string> ProxyVariables();

}  // namespace certwright::service
