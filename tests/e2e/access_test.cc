// Mutual TLS everywhere: every method is called as every kind of caller, and the answers are
// compared with the table in docs/SECURITY.md.
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "certwright/issuer/v1/account.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/meta/v1/event_service.pb.h"
#include "certwright/solver/v1/presentation.pb.h"
#include "certwright/solver/v1/propagation.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/run_command.h"
#include "lib/rpc/channel.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using base::StatusIs;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using harness::Service;
using testing::HasSubstr;
using testing::Not;

const std::vector<std::string> kRoles = {"viewer", "requester", "approver", "secret-reader",
                                         "admin"};
const std::map<std::string, std::vector<std::string>> kServed = {
    {"issuer",
     {"certwright.issuer.v1.IssuerService", "certwright.issuer.v1.CertificateService",
      "certwright.issuer.v1.CertificateRequestService", "certwright.issuer.v1.SecretService",
      "certwright.issuer.v1.AccountService", "certwright.meta.v1.EventService"}},
    {"order", {"certwright.order.v1.OrderService", "certwright.meta.v1.EventService"}},
    {"solver",
     {"certwright.solver.v1.ChallengeService", "certwright.solver.v1.PresentationService",
      "certwright.solver.v1.PropagationService", "certwright.meta.v1.EventService"}}};

// A row of the table.
struct Row {
  std::string server;
  // "certwright.order.v1.OrderService.GetOrder"
  std::string method;
  // Headings of the columns with an x.
  std::set<std::string> allowed;
  // "one", "one or `*`", "`*`", "issuer" or empty.
  std::string where;
};

std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells;
  for (absl::string_view cell : absl::StrSplit(absl::StripSuffix(line, "|"), '|')) {
    cells.emplace_back(absl::StripAsciiWhitespace(cell));
  }
  cells.erase(cells.begin());
  return cells;
}

std::vector<Row> ReadTable() {
  std::ifstream file("docs/SECURITY.md");
  std::vector<Row> rows;
  std::vector<std::string> headings;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "| served by |")) headings = Cells(line);
    if (headings.empty() || absl::StartsWith(line, "| served by") ||
        absl::StartsWith(line, "|--")) {
      continue;
    }
    // Other tables follow.
    if (!absl::StartsWith(line, "|")) break;
    const std::vector<std::string> cells = Cells(line);
    if (cells.size() != headings.size()) {
      ADD_FAILURE() << "a row with " << cells.size() << " cells: " << line;
      continue;
    }
    Row row;
    row.server = cells.front();
    const std::string package =
        absl::StartsWith(cells[1], "EventService.") ? "meta" : row.server;
    row.method = absl::StrCat("certwright.", package, ".v1.", cells[1]);
    row.where = cells.back();
    for (std::size_t i = 2; i + 1 < cells.size(); ++i) {
      if (cells[i] == "x") row.allowed.insert(headings[i]);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// Where a request is about.
struct Place {
  std::string resource_namespace;
  bool cluster_issuer = false;
};

std::vector<Place> PlacesFor(const Row& row) {
  // Also in a namespace, in which no role must be of use.
  if (row.where.empty() || row.where == "`*`") return {{""}, {"team-a"}};
  if (row.where == "issuer") return {{"team-a"}, {"team-b"}, {"team-a", true}};
  return {{"team-a"}, {"team-b"}, {""}};
}

struct Identity {
  std::string name;
  // "issuer", "viewer" …; empty: neither a service nor a role.
  std::string column;
  // Of a role: a namespace, or "*".
  std::string where;
  std::string bearer;
  // By service; without a certificate if `bearer` is its only proof.
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels;
  bool known = true;
};

absl::StatusCode Expected(const Row& row, const Identity& who, const Place& place) {
  if (!who.known) return absl::StatusCode::kUnauthenticated;
  if (!row.allowed.contains(who.column)) return absl::StatusCode::kPermissionDenied;
  if (who.where.empty() || who.where == "*") return absl::StatusCode::kOk;
  std::string place_namespace = place.resource_namespace;
  if (place_namespace.empty() && row.where == "one") place_namespace = "default";
  if (row.where == "`*`" || place.cluster_issuer) place_namespace = "*";
  return place_namespace == who.where ? absl::StatusCode::kOk
                                      : absl::StatusCode::kPermissionDenied;
}

void SetString(Message& message, const char* name, const std::string& value) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field != nullptr) message.GetReflection()->SetString(&message, field, value);
}

std::string RequestFor(const MethodDescriptor& method, const Place& place) {
  const std::unique_ptr<Message> request(
      MessageFactory::generated_factory()->GetPrototype(method.input_type())->New());
  SetString(*request, "namespace", place.resource_namespace);
  const auto& type = *request->GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_repeated()) continue;
    Message& part = *request->GetReflection()->MutableMessage(request.get(), field);
    if (const auto* metadata = part.GetDescriptor()->FindFieldByName("metadata")) {
      SetString(*part.GetReflection()->MutableMessage(&part, metadata), "namespace",
                place.resource_namespace);
    }
    const auto* kind = part.GetDescriptor()->FindFieldByName("kind");
    if (field->name() == "issuer_ref" && place.cluster_issuer) {
      part.GetReflection()->SetEnumValue(&part, kind, meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
    }
  }
  return request->SerializeAsString();
}

// The error that a call ends with, or OK once it has answered at all.
absl::Status FirstAnswer(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                         const std::string& request, const std::string& bearer,
                         bool wait_for_ready = true) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
  context.set_wait_for_ready(wait_for_ready);
  if (!bearer.empty()) context.AddMetadata("authorization", "Bearer " + bearer);
  grpc::CompletionQueue queue;
  const auto done = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  };
  const auto call = stub.PrepareCall(&context, path, &queue);
  call->StartCall(nullptr);
  const bool started = done();
  const grpc::Slice slice(request);
  if (started) {
    call->WriteLast(grpc::ByteBuffer(&slice, 1), {}, nullptr);
    done();
    grpc::ByteBuffer answer;
    call->Read(&answer, nullptr);
    if (done()) {
      context.TryCancel();
      grpc::Status ignored;
      call->Finish(&ignored, nullptr);
      done();
      return absl::OkStatus();
    }
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  done();
  return harness::FromGrpc(status);
}

std::string PathOf(const MethodDescriptor& method) {
  return absl::StrCat("/", method.service()->full_name(), "/", method.name());
}

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// What is linked from the API only if it is referred to.
void LinkDescriptors() {
  issuer::v1::SignJwsRequest::descriptor();
  issuer::v1::ListCertificateRequestsRequest::descriptor();
  meta::v1::ListEventsRequest::descriptor();
  solver::v1::CheckPropagationRequest::descriptor();
  solver::v1::ListPresentationsRequest::descriptor();
}

class AccessTest : public testing::Test {
 protected:
  void SetUp() override {
    LinkDescriptors();
    folder_ = harness::MakeFolder("access");
    pki_ = folder_ + "/pki";
    std::string clients = " --client nobody.test";
    for (const std::string& role : kRoles) {
      absl::StrAppend(&clients, " --client ", role, ".team.test --client ", role, ".all.test");
    }
    Bootstrap(absl::StrCat("certificates --out ", pki_, clients));
    Bootstrap(absl::StrCat("certificates --out ", folder_, "/other --client admin.all.test"));
    const std::string token = Bootstrap("token ci");
    const std::string before = "shown only now: ";
    token_ = token.substr(token.find(before) + before.size(), 43);
    digest_ = token.substr(token.find("sha256: ") + 9, 64);
  }

  static std::string Bootstrap(const std::string& arguments) {
    const pki::CommandResult result = pki::RunCommand("cli/certwright-bootstrap " + arguments);
    EXPECT_EQ(result.exit_status, 0) << result.output;
    return result.output;
  }

  static std::string RoleName(std::string role) {
    for (char& c : role) c = c == '-' ? '_' : absl::ascii_toupper(c);
    return "ROLE_" + role;
  }

  // The access section that all three services get.
  std::string AccessConfig() const {
    std::string config = absl::StrCat(
        "access:\n  tokens: [{name: ci, sha256: \"", digest_, "\"}]\n  grants:\n",
        "  - {identity: \"token:ci\", role: ROLE_VIEWER, namespaces: [default]}\n");
    for (const std::string& role : kRoles) {
      absl::StrAppend(&config, "  - {identity: ", role, ".team.test, role: ", RoleName(role),
                      ", namespaces: [team-a]}\n", "  - {identity: ", role,
                      ".all.test, role: ", RoleName(role), "}\n");
    }
    // Each calls every method.
    absl::StrAppend(&config, "  changesPerSecond: 1000\n  changesBurst: 1000\n",
                    "  callsPerSecond: 1000\n  callsBurst: 10000\n");
    return config;
  }

  absl::StatusOr<std::unique_ptr<harness::Suite>> StartSuite() const {
    harness::SuiteOptions options;
    options.folder = folder_;
    options.dns_server = "127.0.0.1:53";
    options.certificates = pki_;
    options.client = "admin.all.test";
    for (std::string& extra : options.extra_config) extra = AccessConfig();
    // A stranger calls every method.
    for (std::string& server : options.server_config) {
      server = "limits: {maxUnknownCallsPerSecond: 1000}";
    }
    return harness::Suite::Start(std::move(options));
  }

  std::string AuditFile(Service service) const {
    return absl::StrCat(folder_, "/", harness::ServiceName(service), "-audit.log");
  }

  std::shared_ptr<grpc::Channel> ChannelTo(const harness::Suite& suite, Service service,
                                           const rpc::TlsFiles& files) const {
    rpc::ChannelOptions options;
    options.address = suite.address(service);
    options.tls = files;
    return *rpc::MakeChannel(options);
  }

  std::shared_ptr<grpc::Channel> ChannelWithoutCertificate(const harness::Suite& suite,
                                                           Service service) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = Read(pki_ + "/ca.crt");
    return grpc::CreateChannel(suite.address(service), grpc::SslCredentials(options));
  }

  Identity WithCertificate(const harness::Suite& suite, const std::string& name,
                           const std::string& column, const std::string& where) const {
    Identity identity{name, column, where, "", {}};
    for (const Service service : harness::kServices) {
      identity.channels[harness::ServiceName(service)] =
          ChannelTo(suite, service, harness::FilesOf(pki_, name));
    }
    return identity;
  }

  Identity WithoutCertificate(const harness::Suite& suite, const std::string& name) const {
    Identity identity{name, "", "", "", {}};
    for (const Service service : harness::kServices) {
      identity.channels[harness::ServiceName(service)] =
          ChannelWithoutCertificate(suite, service);
    }
    return identity;
  }

  std::vector<Identity> Everyone(const harness::Suite& suite) const {
    std::vector<Identity> all;
    for (const Service service : harness::kServices) {
      const std::string name = harness::ServiceName(service);
      all.push_back(WithCertificate(suite, name, name, ""));
    }
    for (const std::string& role : kRoles) {
      all.push_back(WithCertificate(suite, role + ".team.test", role, "team-a"));
      all.push_back(WithCertificate(suite, role + ".all.test", role, "*"));
    }
    all.push_back(WithCertificate(suite, "nobody.test", "nobody", ""));
    Identity token = WithoutCertificate(suite, "token:ci");
    token.column = "viewer";
    token.where = "default";
    token.bearer = token_;
    all.push_back(std::move(token));
    for (const std::string bearer : {"", "not-the-token"}) {
      Identity stranger = WithoutCertificate(suite, "stranger");
      stranger.bearer = bearer;
      stranger.known = false;
      all.push_back(std::move(stranger));
    }
    return all;
  }

  std::string folder_;
  std::string pki_;
  std::string token_;
  std::string digest_;
};

TEST_F(AccessTest, TheTableHasEveryMethodOnce) {
  std::set<std::string> methods;
  for (const auto& [server, services] : kServed) {
    for (const std::string& name : services) {
      const auto* service = DescriptorPool::generated_pool()->FindServiceByName(name);
      ASSERT_NE(service, nullptr) << name;
      for (int i = 0; i < service->method_count(); ++i) {
        methods.insert(server + " " + service->method(i)->full_name());
      }
    }
  }
  std::set<std::string> rows;
  for (const Row& row : ReadTable()) {
    EXPECT_TRUE(rows.insert(row.server + " " + row.method).second) << row.method;
  }
  EXPECT_EQ(rows, methods);
}

// Fault 96.
TEST_F(AccessTest, EveryMethodAnswersEveryoneAsTheTableSays) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, StartSuite());
  const std::vector<Identity> everyone = Everyone(*suite);
  int calls = 0;
  for (const Row& row : ReadTable()) {
    const MethodDescriptor* method =
        DescriptorPool::generated_pool()->FindMethodByName(row.method);
    ASSERT_NE(method, nullptr) << row.method;
    for (const Place& place : PlacesFor(row)) {
      const std::string request = RequestFor(*method, place);
      for (const Identity& who : everyone) {
        const absl::Status answer =
            FirstAnswer(who.channels.at(row.server), PathOf(*method), request, who.bearer);
        const absl::StatusCode expected = Expected(row, who, place);
        const std::string what =
            absl::StrCat(who.name, " calls ", row.method, " in \"", place.resource_namespace,
                         "\": ", answer.ToString());
        ++calls;
        if (expected != absl::StatusCode::kOk) {
          EXPECT_EQ(answer.code(), expected) << what;
          continue;
        }
        for (const absl::StatusCode refusal :
             {absl::StatusCode::kPermissionDenied, absl::StatusCode::kUnauthenticated,
              absl::StatusCode::kUnavailable, absl::StatusCode::kDeadlineExceeded}) {
          EXPECT_NE(answer.code(), refusal) << what;
        }
      }
    }
  }
  EXPECT_GT(calls, 2000);
}

TEST_F(AccessTest, HealthIsForEveryoneAndReflectionForKnownCallers) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, StartSuite());
  const std::string reflection =
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  // ServerReflectionRequest{list_services: "*"}
  const std::string list = "\x3a\x01*";
  for (const Service service : harness::kServices) {
    const auto stranger = ChannelWithoutCertificate(*suite, service);
    CW_EXPECT_OK(FirstAnswer(stranger, "/grpc.health.v1.Health/Check", "", ""));
    EXPECT_THAT(FirstAnswer(stranger, reflection, list, ""),
                StatusIs(absl::StatusCode::kUnauthenticated));
    EXPECT_THAT(FirstAnswer(stranger, reflection, list, "not-the-token"),
                StatusIs(absl::StatusCode::kUnauthenticated));
    CW_EXPECT_OK(FirstAnswer(stranger, reflection, list, token_));
    const auto nobody = ChannelTo(*suite, service, harness::FilesOf(pki_, "nobody.test"));
    CW_EXPECT_OK(FirstAnswer(nobody, reflection, list, ""));
  }
}

TEST_F(AccessTest, AClientOfAnotherCaIsNotLetIn) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, StartSuite());
  rpc::TlsFiles files = harness::FilesOf(folder_ + "/other", "admin.all.test");
  files.ca = pki_ + "/ca.crt";
  for (const Service service : harness::kServices) {
    const auto channel = ChannelTo(*suite, service, files);
    EXPECT_THAT(FirstAnswer(channel, "/grpc.health.v1.Health/Check", "", "", false),
                StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(AccessTest, ARefusalSaysWhoIsRefusedAndHowToGrantIt) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, StartSuite());
  const auto channel =
      ChannelTo(*suite, Service::kIssuer, harness::FilesOf(pki_, "viewer.team.test"));
  EXPECT_THAT(
      FirstAnswer(channel, "/certwright.issuer.v1.CertificateService/ListCertificates", "", ""),
      StatusIs(absl::StatusCode::kPermissionDenied,
               testing::AllOf(HasSubstr("viewer.team.test"), HasSubstr("team-a"),
                              HasSubstr("access.grants"))));
}

TEST_F(AccessTest, ACertificateIsIssuedWithMutualTlsEverywhere) {
  harness::WorldOptions options;
  options.certificates = pki_;
  options.client = "admin.all.test";
  for (const Service service : harness::kServices) {
    options.extra_config[static_cast<std::size_t>(service)] =
        absl::StrCat(AccessConfig(), "log: {auditFile: \"", AuditFile(service), "\"}\n");
  }
  CW_ASSERT_OK_AND_ASSIGN(const auto world, harness::World::Start(std::move(options)));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({"dns.example.test"}, {})));
  const std::vector<std::string> names = {"http.example.test", "dns.example.test"};
  CW_ASSERT_OK(world->CreateCertificate(harness::World::MakeCertificate("web", names)));
  CW_ASSERT_OK(world->WaitUntilReady({"web"}, absl::Seconds(60)));
  CW_ASSERT_OK_AND_ASSIGN(const issuer::v1::Secret secret, world->GetSecret("web-tls"));
  CW_EXPECT_OK(world->VerifySecret(secret, names));

  const std::string audit = Read(AuditFile(Service::kIssuer));
  for (const char* line :
       {R"("caller":"admin.all.test")",
        R"(SecretService.GetSecret","namespace":"default","name":"web-tls")",
        R"(CreateCertificate","namespace":"default","name":"web","code":"OK")",
        R"(AccountService.SignJws","namespace":"","name":"pebble","code":"OK")"}) {
    EXPECT_THAT(audit, HasSubstr(line));
  }
  EXPECT_THAT(Read(AuditFile(Service::kOrder)), HasSubstr(R"("method":"certwright.order.v1.)"
                                                          R"(OrderService.CreateOrder")"));
  EXPECT_THAT(Read(AuditFile(Service::kSolver)), HasSubstr("ChallengeService.CreateChallenge"));
  EXPECT_THAT(audit, Not(HasSubstr("ListCertificates")));
  for (const Service service : harness::kServices) {
    const std::string lines = Read(AuditFile(service));
    EXPECT_THAT(lines, Not(HasSubstr("BEGIN")));
    EXPECT_THAT(lines, Not(HasSubstr(world->knot().tsig_secret())));
  }
}

}  // namespace
}  // namespace certwright
