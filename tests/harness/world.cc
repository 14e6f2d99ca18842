#include "tests/harness/world.h"

#include <sys/stat.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "lib/base/status_macros.h"
#include "lib/dns/resolver.h"
#include "lib/pki/certificate.h"
#include "lib/pki/key.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "lib/service/conditions.h"

namespace certwright::harness {
namespace {

constexpr char kIssuerName[] = "pebble";
constexpr char kTsigSecretName[] = "knot-tsig";
constexpr char kClusterNamespace[] = "certwright";

std::string SubFolder(const std::string& folder, const std::string& name) {
  const std::string path = absl::StrCat(folder, "/", name);
  mkdir(path.c_str(), 0700);
  return path;
}

bool IsReady(const issuer::v1::Certificate& certificate) {
  const auto* ready = service::FindCondition(certificate.status().conditions(), "Ready");
  return ready != nullptr && ready->status() == meta::v1::CONDITION_STATUS_TRUE &&
         ready->observed_generation() == certificate.metadata().generation();
}

}  // namespace

std::unique_ptr<grpc::ClientContext> MakeContext(absl::Duration timeout) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  context->set_wait_for_ready(true);
  return context;
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

std::string DescribeConditions(
    const google::protobuf::RepeatedPtrField<meta::v1::Condition>& conditions) {
  std::vector<std::string> texts;
  for (const meta::v1::Condition& condition : conditions) {
    const bool holds = condition.status() == meta::v1::CONDITION_STATUS_TRUE;
    texts.push_back(absl::StrCat(condition.type(), "=", holds ? "True" : "False", " ",
                                 condition.reason(), ": ", condition.message()));
  }
  return absl::StrJoin(texts, "; ");
}

absl::StatusOr<std::unique_ptr<World>> World::Start(WorldOptions options) {
  std::unique_ptr<World> world(new World);
  world->folder_ = options.folder.empty() ? MakeFolder("world") : options.folder;

  KnotOptions knot;
  knot.folder = SubFolder(world->folder_, "knot");
  knot.zones = options.zones;
  if (knot.zones.empty()) knot.zones = {{"example.test", ""}};
  CW_ASSIGN_OR_RETURN(world->knot_, Knot::Start(std::move(knot)));
  const std::string resolver =
      options.resolver.empty() ? world->knot_->address() : options.resolver;

  SuiteOptions suite;
  suite.folder = SubFolder(world->folder_, "suite");
  suite.binaries = options.binaries;
  suite.dns_server = resolver;
  suite.authoritative_port =
      options.authoritative_port != 0 ? options.authoritative_port : world->knot_->port();
  suite.acme_config = options.acme_config;
  for (int i = 0; i < 3; ++i) {
    suite.extra_config[i] = options.extra_config[i];
    suite.store_folders[i] = options.store_folders[i];
  }
  if (options.order_workers > 0) {
    absl::StrAppend(&suite.extra_config[static_cast<std::size_t>(Service::kOrder)],
                    "workers: ", options.order_workers, "\n");
  }
  CW_ASSIGN_OR_RETURN(world->suite_, Suite::Start(std::move(suite)));

  PebbleOptions pebble;
  pebble.folder = SubFolder(world->folder_, "pebble");
  pebble.program = options.pebble_program;
  pebble.processors = options.pebble_processors;
  pebble.profiles = options.profiles;
  pebble.alternate_roots = options.alternate_roots;
  pebble.http_port = world->suite_->http01_port();
  pebble.dns_server = resolver;
  pebble.external_accounts = options.external_accounts;
  pebble.nonce_reject_percent = options.nonce_reject_percent;
  pebble.authorization_reuse_percent = options.authorization_reuse_percent;
  CW_ASSIGN_OR_RETURN(world->pebble_, Pebble::Start(std::move(pebble)));
  world->MakeStubs();
  return world;
}

void World::MakeStubs() {
  const auto issuer = suite_->channel(Service::kIssuer);
  certificates_ = issuer::v1::CertificateService::NewStub(issuer);
  issuers_ = issuer::v1::IssuerService::NewStub(issuer);
  secrets_ = issuer::v1::SecretService::NewStub(issuer);
  orders_ = order::v1::OrderService::NewStub(suite_->channel(Service::kOrder));
  challenges_ = solver::v1::ChallengeService::NewStub(suite_->channel(Service::kSolver));
}

issuer::v1::ClusterIssuer World::MakeClusterIssuer(
    const std::vector<std::string>& dns_names,
    const std::vector<std::string>& dns_zones) const {
  issuer::v1::ClusterIssuer issuer;
  issuer.mutable_metadata()->set_name(kIssuerName);
  issuer::v1::AcmeIssuer& acme = *issuer.mutable_spec()->mutable_acme();
  acme.set_server(pebble_->directory_url());
  acme.set_email("operator@example.test");
  acme.set_ca_bundle(pebble_->tls_ca_pem());
  issuer::v1::AcmeSolver& http = *acme.add_solvers();
  http.set_name("http");
  http.mutable_http01()->set_self_check_port(suite_->http01_port());
  issuer::v1::AcmeSolver& dns = *acme.add_solvers();
  dns.set_name("dns");
  dns.mutable_selector()->mutable_dns_names()->Assign(dns_names.begin(), dns_names.end());
  dns.mutable_selector()->mutable_dns_zones()->Assign(dns_zones.begin(), dns_zones.end());
  issuer::v1::Rfc2136& rfc2136 = *dns.mutable_dns01()->mutable_rfc2136();
  rfc2136.add_nameservers(knot_->address());
  rfc2136.set_tsig_key_name(knot_->tsig_key_name());
  rfc2136.mutable_tsig_secret_secret_ref()->set_name(kTsigSecretName);
  return issuer;
}

absl::Status World::CreateClusterIssuer(const issuer::v1::ClusterIssuer& issuer) {
  issuer::v1::CreateSecretRequest secret;
  secret.mutable_secret()->mutable_metadata()->set_namespace_(kClusterNamespace);
  secret.mutable_secret()->mutable_metadata()->set_name(kTsigSecretName);
  (*secret.mutable_secret()->mutable_data())["tsig-secret"] = knot_->tsig_secret();
  issuer::v1::CreateSecretResponse secret_response;
  const absl::Status created =
      FromGrpc(secrets_->CreateSecret(MakeContext().get(), secret, &secret_response));
  if (!absl::IsAlreadyExists(created)) CW_RETURN_IF_ERROR(created);

  issuer::v1::CreateClusterIssuerRequest request;
  *request.mutable_cluster_issuer() = issuer;
  issuer::v1::CreateClusterIssuerResponse response;
  CW_RETURN_IF_ERROR(
      FromGrpc(issuers_->CreateClusterIssuer(MakeContext().get(), request, &response)));

  return WaitForClusterIssuer(issuer.metadata().name(), absl::Seconds(30));
}

absl::Status World::WaitForClusterIssuer(const std::string& name, absl::Duration timeout) {
  issuer::v1::WatchClusterIssuersRequest watch;
  watch.set_name(name);
  const absl::Time end = absl::Now() + timeout;
  std::string last;
  absl::Status ended;
  while (absl::Now() < end) {
    const auto context = MakeContext(end - absl::Now());
    auto stream = issuers_->WatchClusterIssuers(context.get(), watch);
    issuer::v1::WatchClusterIssuersResponse event;
    while (stream->Read(&event)) {
      const auto& conditions = event.cluster_issuer().status().conditions();
      if (service::IsTrue(conditions, "Ready")) return absl::OkStatus();
      if (event.has_cluster_issuer()) last = DescribeConditions(conditions);
    }
    ended = FromGrpc(stream->Finish());
    Pause();
  }
  return absl::DeadlineExceededError(
      absl::StrCat("the ClusterIssuer does not get Ready: ", last, "; the watch ended with ",
                   ended.ToString()));
}

issuer::v1::Certificate World::MakeCertificate(const std::string& name,
                                               const std::vector<std::string>& dns_names) {
  issuer::v1::Certificate certificate;
  certificate.mutable_metadata()->set_name(name);
  certificate.mutable_spec()->set_secret_name(name + "-tls");
  certificate.mutable_spec()->mutable_issuer_ref()->set_name(kIssuerName);
  certificate.mutable_spec()->mutable_issuer_ref()->set_kind(
      meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  certificate.mutable_spec()->mutable_dns_names()->Assign(dns_names.begin(), dns_names.end());
  return certificate;
}

absl::Status World::CreateCertificate(const issuer::v1::Certificate& certificate) {
  issuer::v1::CreateCertificateRequest request;
  *request.mutable_certificate() = certificate;
  issuer::v1::CreateCertificateResponse response;
  return FromGrpc(certificates_->CreateCertificate(MakeContext().get(), request, &response));
}

absl::Status World::WaitUntilReady(const std::vector<std::string>& names,
                                   absl::Duration timeout) {
  std::set<std::string> missing(names.begin(), names.end());
  const absl::Time end = absl::Now() + timeout;
  std::string last;
  while (!missing.empty() && absl::Now() < end) {
    const auto context = MakeContext(end - absl::Now());
    auto stream = certificates_->WatchCertificates(context.get(), {});
    issuer::v1::WatchCertificatesResponse event;
    while (!missing.empty() && stream->Read(&event)) {
      if (!event.has_certificate()) continue;
      const std::string& name = event.certificate().metadata().name();
      if (IsReady(event.certificate())) {
        missing.erase(name);
      } else if (missing.contains(name)) {
        last = absl::StrCat(name, ": ",
                            DescribeConditions(event.certificate().status().conditions()));
      }
    }
    context->TryCancel();
    stream->Finish();
    // The service went away in the middle: it is being started again, or the time is up.
    if (!missing.empty()) Pause();
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat(missing.size(), " of ", names.size(), " certificates are not Ready after ",
                   absl::FormatDuration(timeout), ", for example ", *missing.begin(),
                   "; the last that was seen: ", last));
}

absl::StatusOr<issuer::v1::Certificate> World::GetCertificate(const std::string& name) {
  issuer::v1::GetCertificateRequest request;
  request.set_name(name);
  issuer::v1::GetCertificateResponse response;
  CW_RETURN_IF_ERROR(
      FromGrpc(certificates_->GetCertificate(MakeContext().get(), request, &response)));
  return response.certificate();
}

absl::StatusOr<issuer::v1::Secret> World::GetSecret(const std::string& name) {
  issuer::v1::GetSecretRequest request;
  request.set_name(name);
  issuer::v1::GetSecretResponse response;
  CW_RETURN_IF_ERROR(FromGrpc(secrets_->GetSecret(MakeContext().get(), request, &response)));
  return response.secret();
}

std::vector<order::v1::Order> World::ListOrders() {
  order::v1::ListOrdersRequest request;
  request.set_page_size(1000);
  order::v1::ListOrdersResponse response;
  // The service may be killed under the call, and is started again then.
  while (!orders_->ListOrders(MakeContext().get(), request, &response).ok()) Pause();
  return {response.orders().begin(), response.orders().end()};
}

std::vector<solver::v1::Challenge> World::ListChallenges() {
  solver::v1::ListChallengesRequest request;
  request.set_page_size(1000);
  solver::v1::ListChallengesResponse response;
  // The service may be killed under the call, and is started again then.
  while (!challenges_->ListChallenges(MakeContext().get(), request, &response).ok()) Pause();
  return {response.challenges().begin(), response.challenges().end()};
}

std::vector<std::string> World::TxtValues(const std::string& dns_name) {
  runtime::ThreadPool pool(1);
  const auto timers = runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  dns::AresDnsResolver resolver(pool.executor(), *timers);
  dns::Query query;
  query.name = absl::StrCat("_acme-challenge.", dns_name);
  query.type = dns::RecordType::kTxt;
  query.servers = {knot_->address()};
  query.recursion_desired = false;
  const auto context = runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(5));
  const auto answer = runtime::RunSyncOn(pool.executor(), resolver.Resolve(context, query));
  if (!answer.ok()) return {answer.status().ToString()};
  std::vector<std::string> values;
  for (const dns::Record& record : answer->message.answers) {
    if (record.type == dns::RecordType::kTxt) values.push_back(record.name);
  }
  return values;
}

absl::Status World::VerifySecret(const issuer::v1::Secret& secret,
                                 const std::vector<std::string>& dns_names) {
  const auto& data = secret.data();
  if (!data.contains("tls.crt") || !data.contains("tls.key")) {
    return absl::FailedPreconditionError("the Secret has no tls.crt or no tls.key");
  }
  CW_ASSIGN_OR_RETURN(const auto chain, pki::ParseChainPem(data.at("tls.crt")));
  CW_ASSIGN_OR_RETURN(const auto key, pki::PrivateKey::ParsePem(data.at("tls.key")));
  CW_ASSIGN_OR_RETURN(const std::string root_pem, pebble_->FetchRootPem());
  CW_ASSIGN_OR_RETURN(const auto roots, pki::ParseChainPem(root_pem));
  const pki::PublicKey public_key = key.public_key();
  pki::ChainExpectation expected;
  expected.public_key = &public_key;
  expected.names.dns_names = dns_names;
  expected.now = absl::Now();
  CW_RETURN_IF_ERROR(pki::VerifyIssuedChain(chain, expected));
  return pki::VerifyAgainstRoots(chain, roots, absl::Now());
}

}  // namespace certwright::harness
