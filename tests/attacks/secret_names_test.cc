// Walks the table "Secrets by name" of docs/SECURITY.md: each row is tried by whoever may name
// a Secret there, with one that is not his.
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "tests/attacks/issuer_attack_world.h"

namespace certwright::attacks {
namespace {

using base::StatusIs;
using testing::HasSubstr;
using testing::Not;

constexpr char kValue[] = "dGhlIHZhbHVlIG9mIHRoZSBTZWNyZXQgaXRzZWxm";

// The first cell of each row.
std::vector<std::string> ReadTable() {
  std::ifstream file("docs/SECURITY.md");
  std::vector<std::string> rows;
  bool in_section = false;
  bool in_table = false;
  for (std::string line; std::getline(file, line);) {
    in_section = in_section || line == "### Secrets by name";
    if (in_section && absl::StartsWith(line, "| named by |")) in_table = true;
    if (!in_table || absl::StartsWith(line, "| named by |") || absl::StartsWith(line, "|--")) {
      continue;
    }
    if (!absl::StartsWith(line, "|")) break;
    const std::vector<std::string> cells = absl::StrSplit(line, '|');
    rows.emplace_back(absl::StripAsciiWhitespace(cells.at(1)));
  }
  return rows;
}

class SecretNamesTest : public IssuerAttackTest {
 protected:
  using Change = std::function<void(v1::IssuerSpec& spec, const std::string& secret)>;

  // A Certificate of rita's in the namespace "team" that names `secret`.
  static v1::Certificate Naming(const std::string& name, const std::string& secret) {
    v1::Certificate certificate = MakeCertificate("team", name, "www.team.example");
    certificate.mutable_spec()->set_secret_name(secret);
    return certificate;
  }
  std::string WaitForReason(const std::string& name, const std::string& reason) const {
    const v1::Certificate last = WaitFor([&] { return GetCertificate(*rita_, "team", name); },
                                         [&](const v1::Certificate& certificate) {
                                           return ReadyOf(certificate).reason() == reason;
                                         });
    return ReadyOf(last).message();
  }
  void ExpectUnchanged(const std::string& name) const {
    CW_ASSERT_OK_AND_ASSIGN(const v1::Secret secret, GetSecret(*admin_, "team", name));
    for (const auto& [key, value] : secret.data()) EXPECT_EQ(value, kValue) << key;
    EXPECT_EQ(secret.metadata().generation(), 1);
  }

  void TryToOverwrite() const {
    CW_ASSERT_OK(Create(*rita_, Naming("overwrite", "credentials")));
    EXPECT_THAT(WaitForReason("overwrite", "SecretNotOwned"), HasSubstr("credentials"));
    ExpectUnchanged("credentials");
  }
  void TryToKeepAKey() const {
    v1::Certificate certificate = Naming("keep", "credentials");
    certificate.mutable_spec()->mutable_private_key()->set_rotation_policy(
        v1::ROTATION_POLICY_NEVER);
    CW_ASSERT_OK(Create(*rita_, certificate));
    WaitForReason("keep", "SecretNotOwned");
    EXPECT_EQ(GetCertificate(*rita_, "team", "keep")->status().certificate_request_name(), "");
  }
  void TryToReadAChain() const {
    CW_ASSERT_OK(Create(*rita_, Naming("chain", "credentials")));
    const absl::Status answer = GetChain(*rita_, "team", "chain").status();
    EXPECT_THAT(answer, StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(answer.ToString(), Not(HasSubstr(kValue)));
  }
  void TryToRevoke() const {
    CW_ASSERT_OK(Create(*admin_, Naming("revoke", "credentials")));
    EXPECT_THAT(Revoke(*admin_, "team", "revoke", v1::REVOCATION_REASON_SUPERSEDED),
                StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_EQ(world_->ca().requests(fakes::Endpoint::kRevokeCert), 0);
  }
  void TryToOverwriteByTheNextKey() const {
    CW_ASSERT_OK(Create(*admin_, MakeSecret("team", "app-next-key", {{"token", kValue}})));
    CW_ASSERT_OK(Create(*rita_, Naming("app", "app-tls")));
    EXPECT_THAT(WaitForReason("app", "SecretNotOwned"), HasSubstr("app-next-key"));
    CW_ASSERT_OK(DeleteCertificate(*rita_, "team", "app"));
    ExpectUnchanged("app-next-key");
  }
  void TryToReadAPassword() const {
    v1::Certificate certificate = Naming("password", "password-tls");
    auto& jks = *certificate.mutable_spec()->mutable_keystores()->mutable_jks();
    jks.set_create(true);
    for (const char* name : {"../victim/credentials", "victim/credentials"}) {
      jks.mutable_password_secret_ref()->set_name(name);
      EXPECT_THAT(Create(*rita_, certificate), StatusIs(absl::StatusCode::kInvalidArgument));
    }
    jks.mutable_password_secret_ref()->set_name("credentials");
    jks.mutable_password_secret_ref()->set_key("tls.crt");
    CW_ASSERT_OK(Create(*rita_, certificate));
    v1::DescribeCertificateRequest describe;
    describe.set_namespace_("team");
    describe.set_name("password");
    CW_ASSERT_OK_AND_ASSIGN(const auto described,
                            Call(rita_->certificates,
                                 &v1::CertificateService::Stub::DescribeCertificate, describe));
    EXPECT_THAT(described.ShortDebugString(), Not(HasSubstr(kValue)));
  }
  void TryToSignWithAKey() const {
    v1::CertificateRequest request;
    request.mutable_metadata()->set_namespace_("team");
    request.mutable_metadata()->set_name("sign");
    (*request.mutable_metadata()
          ->mutable_annotations())["cert-manager.io/private-key-secret-name"] = "credentials";
    request.mutable_spec()->mutable_issuer_ref()->set_name("self");
    pki::CsrSpec csr;
    csr.names.dns_names = {"www.team.example"};
    request.mutable_spec()->set_request(
        *pki::CreateCsrPem(csr, *pki::PrivateKey::Generate(pki::KeySpec())));
    EXPECT_THAT(Create(*rita_, request), StatusIs(absl::StatusCode::kPermissionDenied));
  }
  // An Issuer of mallory's that names a Secret of "victim", or rita's of her own namespace.
  void TryIssuer(const std::string& name, const Change& change) const {
    v1::Issuer issuer;
    issuer.mutable_metadata()->set_namespace_("mallory");
    issuer.mutable_metadata()->set_name(name);
    for (const char* secret :
         {"../victim/credentials", "victim/credentials", "victim.credentials"}) {
      change(*issuer.mutable_spec(), secret);
      EXPECT_THAT(Create(*mallory_, issuer), StatusIs(absl::StatusCode::kInvalidArgument))
          << secret;
    }
    change(*issuer.mutable_spec(), "credentials");
    issuer.mutable_metadata()->set_namespace_("team");
    EXPECT_THAT(Create(*rita_, issuer), StatusIs(absl::StatusCode::kPermissionDenied));
    issuer.mutable_metadata()->set_namespace_("mallory");
    CW_ASSERT_OK(Create(*mallory_, issuer));
    v1::GetIssuerRequest get;
    get.set_namespace_("mallory");
    get.set_name(name);
    const v1::Issuer looked_at = WaitFor(
        [&]() -> absl::StatusOr<v1::Issuer> {
          CW_ASSIGN_OR_RETURN(
              auto response, Call(mallory_->issuers, &v1::IssuerService::Stub::GetIssuer, get));
          return response.issuer();
        },
        [](const v1::Issuer& now) { return !ReadyOf(now).reason().empty(); });
    // There is a Secret of that name in the namespaces "team", "victim" and "certwright".
    EXPECT_THAT(ReadyOf(looked_at).message(), HasSubstr("mallory/credentials"));
    EXPECT_EQ(ReadyOf(looked_at).status(), meta::v1::CONDITION_STATUS_FALSE);
  }
  // What a solver needs is read when it is asked for, which only the solver service may.
  void TryTsig() const {
    v1::ResolveSolverRequest resolve;
    resolve.set_namespace_("mallory");
    resolve.mutable_issuer_ref()->set_name("tsig");
    resolve.set_solver_name("dns");
    for (const auto* who : {&admin_, &mallory_, &rita_}) {
      EXPECT_THAT(Call((*who)->issuers, &v1::IssuerService::Stub::ResolveSolver, resolve),
                  StatusIs(absl::StatusCode::kPermissionDenied));
    }
  }
  void TryClusterIssuer() const {
    v1::CreateClusterIssuerRequest request;
    request.mutable_cluster_issuer()->mutable_metadata()->set_name("mine");
    request.mutable_cluster_issuer()->mutable_spec()->mutable_ca()->set_secret_name(
        "credentials");
    EXPECT_THAT(Call(mallory_->issuers, &v1::IssuerService::Stub::CreateClusterIssuer, request),
                StatusIs(absl::StatusCode::kPermissionDenied));
  }
  void TrySecretService() const {
    for (const char* where : {"victim", "team", "certwright"}) {
      EXPECT_THAT(GetSecret(*mallory_, where, "credentials"),
                  StatusIs(absl::StatusCode::kPermissionDenied));
      EXPECT_THAT(Update(*mallory_, MakeSecret(where, "credentials", {})),
                  StatusIs(absl::StatusCode::kPermissionDenied));
      EXPECT_THAT(GetSecret(*rita_, where, "credentials"),
                  StatusIs(absl::StatusCode::kPermissionDenied));
    }
  }
};

TEST_F(SecretNamesTest, NoNameGivesMoreThanTheTableSays) {
  for (const char* where : {"victim", "team", "certwright"}) {
    CW_ASSERT_OK(Create(*admin_, MakeSecret(where, "credentials",
                                            {{"tls.crt", kValue},
                                             {"tls.key", kValue},
                                             {"ca.crt", kValue},
                                             {"token", kValue}})));
  }
  const Change account_key = [](v1::IssuerSpec& spec, const std::string& secret) {
    spec.mutable_acme()->set_server("https://ca.test/directory");
    spec.mutable_acme()->set_disable_account_key_generation(true);
    spec.mutable_acme()->mutable_private_key_secret_ref()->set_name(secret);
  };
  const Change ca = [](v1::IssuerSpec& spec, const std::string& secret) {
    spec.mutable_ca()->set_secret_name(secret);
  };
  const Change vault = [](v1::IssuerSpec& spec, const std::string& secret) {
    spec.mutable_vault()->set_server("https://vault.test");
    spec.mutable_vault()->set_path("pki/sign/web");
    spec.mutable_vault()->mutable_token_secret_ref()->set_name(secret);
    spec.mutable_vault()->mutable_token_secret_ref()->set_key("token");
  };
  const Change binding = [this](v1::IssuerSpec& spec, const std::string& secret) {
    *spec.mutable_acme() = world_->MakeClusterIssuer().spec().acme();
    auto& account = *spec.mutable_acme()->mutable_external_account_binding();
    account.set_key_id("kid");
    account.mutable_key_secret_ref()->set_name(secret);
    account.mutable_key_secret_ref()->set_key("token");
  };
  const std::map<std::string, std::function<void()>> attempts = {
      {"Certificate `spec.secretName`, written", [&] { TryToOverwrite(); }},
      {"Certificate `spec.secretName`, key kept", [&] { TryToKeepAKey(); }},
      {"Certificate `spec.secretName`, GetCertificateChain", [&] { TryToReadAChain(); }},
      {"Certificate `spec.secretName`, RevokeCertificate", [&] { TryToRevoke(); }},
      {"Certificate `metadata.name`, next key", [&] { TryToOverwriteByTheNextKey(); }},
      {"Certificate `spec.keystores.*.passwordSecretRef`", [&] { TryToReadAPassword(); }},
      {"CertificateRequest annotation `cert-manager.io/private-key-secret-name`",
       [&] { TryToSignWithAKey(); }},
      {"Issuer `spec.acme.privateKeySecretRef`", [&] { TryIssuer("account", account_key); }},
      {"Issuer `spec.acme.externalAccountBinding.keySecretRef`",
       [&] { TryIssuer("binding", binding); }},
      {"Issuer `spec.acme.solvers[].dns01.rfc2136.tsigSecretSecretRef`", [&] { TryTsig(); }},
      {"Issuer `spec.ca.secretName`", [&] { TryIssuer("ca", ca); }},
      {"Issuer `spec.vault`", [&] { TryIssuer("vault", vault); }},
      {"ClusterIssuer, each of these", [&] { TryClusterIssuer(); }},
      {"SecretService", [&] { TrySecretService(); }},
  };
  const std::vector<std::string> rows = ReadTable();
  EXPECT_EQ(rows.size(), attempts.size());
  for (const std::string& row : rows) {
    SCOPED_TRACE(row);
    const auto attempt = attempts.find(row);
    ASSERT_NE(attempt, attempts.end());
    attempt->second();
  }
}

}  // namespace
}  // namespace certwright::attacks
