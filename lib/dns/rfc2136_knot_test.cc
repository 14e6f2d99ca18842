// UPDATE, TSIG and the propagation check against a real Knot DNS server.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ip/udp.hpp"
#include "lib/base/status_matchers.h"
#include "lib/dns/propagation.h"
#include "lib/dns/resolver.h"
#include "lib/dns/rfc2136.h"
#include "lib/dns/update_batcher.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::dns {
namespace {

using base::StatusIs;
using testing::HasSubstr;

constexpr char kKnotd[] = "/usr/sbin/knotd";
constexpr char kSecret[] = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE=";
constexpr char kOtherSecret[] = "YW5vdGhlcnNlY3JldGFub3RoZXJzZWNyZXRhbm90aGVyIQ==";
constexpr auto kMend = absl::StatusCode::kFailedPrecondition;

// A port of loopback that is free for UDP and TCP at this moment.
int FreePort() {
  boost::asio::io_context context;
  const auto loopback = boost::asio::ip::address_v4::loopback();
  while (true) {
    boost::asio::ip::tcp::acceptor tcp(context, {loopback, 0});
    const uint16_t port = tcp.local_endpoint().port();
    boost::asio::ip::udp::socket udp(context, boost::asio::ip::udp::v4());
    boost::system::error_code error;
    udp.bind({loopback, port}, error);
    if (!error) return port;
  }
}

// knotd with the zones example.test, which takes updates, and delegated.test.
class Knot {
 public:
  explicit Knot(const std::string& folder) : folder_(folder), port_(FreePort()) {
    mkdir(folder_.c_str(), 0700);
    // The path of a socket must be short, which TEST_TMPDIR is not.
    char socket_folder[] = "/tmp/certwright-knot-XXXXXX";
    if (mkdtemp(socket_folder) != nullptr) socket_folder_ = socket_folder;
    // Without this folder Knot answers SERVFAIL to every UPDATE.
    mkdir((folder_ + "/db").c_str(), 0700);
    for (const char* zone : {"example.test", "delegated.test"}) {
      std::ofstream(absl::StrCat(folder_, "/", zone, ".zone"))
          << "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n"
          << "_acme-challenge.alias CNAME alias.delegated.test.\n*.wild A 192.0.2.7\n";
    }
    std::ofstream(folder_ + "/knot.conf") << Configuration();
    Start();
  }
  ~Knot() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    unlink((socket_folder_ + "/knot.sock").c_str());
    rmdir(socket_folder_.c_str());
  }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int port() const { return port_; }
  std::string Log() const {
    std::ostringstream log;
    log << std::ifstream(folder_ + "/knot.log").rdbuf();
    return log.str();
  }

 private:
  std::string Configuration() const {
    return absl::StrCat(
        "server:\n    rundir: \"", folder_, "\"\n    listen: 127.0.0.1@", port_,
        "\ncontrol:\n    listen: \"", socket_folder_, "/knot.sock\"\n",
        "database:\n    storage: \"", folder_, "/db\"\n",
        "key:\n  - id: acme-key\n    algorithm: hmac-sha256\n    secret: ", kSecret,
        "\n  - id: sha512-key\n    algorithm: hmac-sha512\n    secret: ", kSecret,
        "\nacl:\n  - id: acme-update\n    address: 127.0.0.0/8\n"
        "    key: [ acme-key, sha512-key ]\n    action: update\n"
        "    update-type: TXT\n"
        "    update-owner: name\n    update-owner-match: sub\n"
        "    update-owner-name: [ example.test., delegated.test. ]\n"
        "  - id: refuse\n    deny: on\n"
        "template:\n  - id: default\n    storage: \"",
        folder_,
        "\"\n    file: \"%s.zone\"\n    zonefile-sync: -1\n"
        "    journal-content: all\n    zonefile-load: difference-no-serial\n"
        "    acl: acme-update\n"
        "zone:\n  - domain: example.test\n  - domain: delegated.test\n");
  }

  void Start() {
    const std::string config = folder_ + "/knot.conf";
    const std::string log = folder_ + "/knot.log";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const char* arguments[] = {kKnotd, "-c", config.c_str(), nullptr};
    if (posix_spawn(&pid_, kKnotd, &actions, nullptr, const_cast<char**>(arguments), environ) !=
        0) {
      pid_ = -1;
    }
    posix_spawn_file_actions_destroy(&actions);
  }

  const std::string folder_;
  std::string socket_folder_;
  const int port_;
  pid_t pid_ = -1;
};

std::shared_ptr<const TsigKey> Key(const std::string& name, const std::string& secret,
                                   TsigAlgorithm algorithm = TsigAlgorithm::kHmacSha256) {
  auto key = std::make_shared<TsigKey>();
  key->name = name;
  key->algorithm = algorithm;
  key->secret = base::Secret(std::string(secret));
  return key;
}

class Rfc2136KnotTest : public testing::Test {
 protected:
  Rfc2136KnotTest()
      : pool_(2),
        timers_(runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real())),
        resolver_(pool_.executor(), *timers_),
        client_(*timers_),
        checker_(resolver_, base::Clock::Real(),
                 ServerPolicy(*http::AddressRanges::Parse({"127.0.0.0/8"}), {})) {}
  ~Rfc2136KnotTest() override { pool_.Stop(); }

  void SetUp() override {
    ASSERT_EQ(access(kKnotd, X_OK), 0)
        << kKnotd << " is missing: install Debian's package \"knot\"";
    const char* folder = std::getenv("TEST_TMPDIR");
    const char* name = testing::UnitTest::GetInstance()->current_test_info()->name();
    knot_ = std::make_unique<Knot>(
        absl::StrCat(folder == nullptr ? testing::TempDir() : folder, "/knot-", name));
    WaitUntilReady();
  }

  // Knot gives no sign but its answers: asks until it has loaded both zones.
  void WaitUntilReady() {
    const runtime::Context context = Context(absl::Seconds(30));
    for (const char* zone : {"example.test", "delegated.test"}) {
      Query query;
      query.name = zone;
      query.type = RecordType::kSoa;
      query.servers = {knot_->address()};
      query.timeout = absl::Milliseconds(100);
      while (true) {
        ASSERT_TRUE(context.Check().ok()) << "knotd does not answer:\n" << knot_->Log();
        const absl::StatusOr<Answer> answer =
            runtime::RunSyncOn(pool_.executor(), resolver_.Resolve(context, query));
        if (answer.ok() && answer->message.authoritative) break;
        std::this_thread::yield();
      }
    }
  }

  static runtime::Context Context(absl::Duration timeout = absl::Seconds(20)) {
    return runtime::Context::WithTimeout(base::Clock::Real(), timeout);
  }
  UpdateTarget Target(std::string zone = "example.test") {
    UpdateTarget target;
    target.servers = {knot_->address()};
    target.zone = std::move(zone);
    target.key = Key("acme-key", kSecret);
    target.timeout = absl::Seconds(5);
    return target;
  }
  static TxtChange Change(TxtChange::Kind kind, std::string name, std::string value) {
    TxtChange change;
    change.kind = kind;
    change.name = std::move(name);
    change.value = std::move(value);
    return change;
  }
  static TxtChange Add(std::string name, std::string value) {
    return Change(TxtChange::Kind::kAdd, std::move(name), std::move(value));
  }
  static TxtChange Remove(std::string name, std::string value) {
    return Change(TxtChange::Kind::kRemove, std::move(name), std::move(value));
  }
  absl::Status Update(UpdateTarget target, std::vector<TxtChange> changes) {
    return runtime::RunSyncOn(pool_.executor(),
                              client_.Update(Context(), std::move(target), std::move(changes)));
  }
  std::vector<std::string> Values(const std::string& name) {
    Query query;
    query.name = name;
    query.type = RecordType::kTxt;
    query.servers = {knot_->address()};
    absl::StatusOr<Answer> answer =
        runtime::RunSyncOn(pool_.executor(), resolver_.Resolve(Context(), query));
    CW_EXPECT_OK(answer);
    std::vector<std::string> values;
    if (!answer.ok()) return values;
    for (const Record& record : answer->message.answers) {
      if (const auto* text = std::get_if<TextData>(&record.data)) values.push_back(text->text);
    }
    return values;
  }
  bool HasAddress(const std::string& name) {
    Query query;
    query.name = name;
    query.type = RecordType::kA;
    query.servers = {knot_->address()};
    const absl::StatusOr<Answer> answer =
        runtime::RunSyncOn(pool_.executor(), resolver_.Resolve(Context(), query));
    CW_EXPECT_OK(answer);
    return answer.ok() && !answer->message.answers.empty();
  }
  absl::StatusOr<PropagationReport> Check(const std::string& name, const std::string& value) {
    PropagationRequest request;
    request.name = name;
    request.expected_value = value;
    request.recursive_nameservers = {knot_->address()};
    request.authoritative_port = knot_->port();
    return runtime::RunSyncOn(pool_.executor(), checker_.Check(Context(), request));
  }

  runtime::ThreadPool pool_;
  std::unique_ptr<runtime::Timers> timers_;
  AresDnsResolver resolver_;
  Rfc2136Client client_;
  PropagationChecker checker_;
  std::unique_ptr<Knot> knot_;
};

constexpr char kName[] = "_acme-challenge.www.example.test";

// Fault 66.
TEST_F(Rfc2136KnotTest, AddsAndRemovesByValue) {
  CW_ASSERT_OK(Update(Target(), {Add(kName, "one"), Add(kName, "two"), Add(kName, "three")}));
  EXPECT_THAT(Values(kName), testing::UnorderedElementsAre("one", "two", "three"));
  CW_ASSERT_OK(Update(Target(), {Remove(kName, "two"), Add(kName, "four")}));
  EXPECT_THAT(Values(kName), testing::UnorderedElementsAre("one", "three", "four"));
  // Both are idempotent.
  CW_ASSERT_OK(Update(Target(), {Remove(kName, "two"), Add(kName, "four")}));
  EXPECT_EQ(Values(kName).size(), 3u);
  CW_ASSERT_OK(
      Update(Target(), {Remove(kName, "one"), Remove(kName, "three"), Remove(kName, "four")}));
  EXPECT_THAT(Values(kName), testing::IsEmpty());
}

// Fault 72.
TEST_F(Rfc2136KnotTest, KeepsLongAndOddValuesAsTheyAre) {
  const std::string odd = "a\"b\\c;d e\x01\xFF";
  const std::string large(1000, 'x');
  CW_ASSERT_OK(Update(Target(), {Add(kName, odd), Add(kName, large)}));
  EXPECT_THAT(Values(kName), testing::UnorderedElementsAre(odd, large));
  CW_ASSERT_OK(Update(Target(), {Remove(kName, odd), Remove(kName, large)}));
  EXPECT_THAT(Values(kName), testing::IsEmpty());
}

TEST_F(Rfc2136KnotTest, WorksOverTcpAndWithSha512) {
  UpdateTarget target = Target();
  target.tcp_only = true;
  target.key = Key("sha512-key", kSecret, TsigAlgorithm::kHmacSha512);
  CW_ASSERT_OK(Update(target, {Add(kName, "one")}));
  target.tcp_only = false;
  CW_ASSERT_OK(Update(target, {Add(kName, "two")}));
  EXPECT_EQ(Values(kName).size(), 2u);
}

// Fault 65.
TEST_F(Rfc2136KnotTest, SaysWhatIsWrongWithKeyAndZone) {
  UpdateTarget target = Target();
  target.key = Key("acme-key", kOtherSecret);
  absl::Status status = Update(target, {Add(kName, "v")});
  EXPECT_EQ(UpdateRcode(status), Rcode::kBadSig) << status;
  EXPECT_THAT(status, StatusIs(kMend, HasSubstr("secret")));

  target.key = Key("other-key", kSecret);
  status = Update(target, {Add(kName, "v")});
  EXPECT_EQ(UpdateRcode(status), Rcode::kBadKey) << status;
  EXPECT_THAT(status, StatusIs(kMend, HasSubstr("key name")));

  target.key = nullptr;
  EXPECT_THAT(Update(target, {Add(kName, "v")}), StatusIs(kMend));

  status = Update(Target("not-served.test"), {Add("a.not-served.test", "v")});
  EXPECT_EQ(UpdateRcode(status), Rcode::kNotAuth) << status;
  EXPECT_THAT(status, StatusIs(kMend, HasSubstr(knot_->address())));
  EXPECT_THAT(Values(kName), testing::IsEmpty());
}

TEST_F(Rfc2136KnotTest, BatchesChangesAndGivesABadOneItsOwnResult) {
  UpdateBatcher batcher(pool_.executor(), *timers_, client_);
  auto apply_all = [&]() -> runtime::Awaitable<std::vector<absl::Status>> {
    std::vector<runtime::Awaitable<absl::Status>> tasks;
    for (int i = 0; i < 150; ++i) {
      const std::string name = absl::StrCat("_acme-challenge.n", i, ".example.test");
      tasks.push_back(batcher.Apply(Context(), Target(), Add(name, absl::StrCat("value", i))));
    }
    tasks.push_back(batcher.Apply(Context(), Target(), Add("outside.other", "v")));
    co_return co_await runtime::WhenAll(std::move(tasks));
  };
  const std::vector<absl::Status> results = runtime::RunSyncOn(pool_.executor(), apply_all());
  ASSERT_EQ(results.size(), 151u);
  for (int i = 0; i < 150; ++i) CW_EXPECT_OK(results[i]);
  EXPECT_THAT(results[150], StatusIs(kMend));
  EXPECT_THAT(Values("_acme-challenge.n0.example.test"), testing::ElementsAre("value0"));
  EXPECT_THAT(Values("_acme-challenge.n149.example.test"), testing::ElementsAre("value149"));
}

TEST_F(Rfc2136KnotTest, ThePropagationCheckSeesWhatWasAddedAndRemoved) {
  CW_ASSERT_OK_AND_ASSIGN(PropagationReport report, Check(kName, "value"));
  EXPECT_FALSE(report.propagated) << report.Summary();
  EXPECT_EQ(report.zone, "example.test");
  CW_ASSERT_OK(Update(Target(), {Add(kName, "value"), Add(kName, "other")}));
  CW_ASSERT_OK_AND_ASSIGN(report, Check(kName, "value"));
  EXPECT_TRUE(report.propagated) << report.Summary();
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].nameserver, "ns.example.test");
  EXPECT_EQ(report.findings[0].address, knot_->address());
  CW_ASSERT_OK(Update(Target(), {Remove(kName, "value")}));
  CW_ASSERT_OK_AND_ASSIGN(report, Check(kName, "value"));
  EXPECT_FALSE(report.propagated) << report.Summary();
}

TEST_F(Rfc2136KnotTest, ThePropagationCheckFollowsADelegation) {
  CW_ASSERT_OK(Update(Target("delegated.test"), {Add("alias.delegated.test", "value")}));
  CW_ASSERT_OK_AND_ASSIGN(const PropagationReport report,
                          Check("_acme-challenge.alias.example.test", "value"));
  EXPECT_TRUE(report.propagated) << report.Summary();
  EXPECT_EQ(report.resolved_name, "alias.delegated.test");
  EXPECT_EQ(report.zone, "delegated.test");
}

// Fault 75.
TEST_F(Rfc2136KnotTest, AWildcardRecordIsHiddenOnlyWhileTheValueIsThere) {
  const std::string host = "host.wild.example.test";
  EXPECT_TRUE(HasAddress(host));
  CW_ASSERT_OK(Update(Target(), {Add("_acme-challenge." + host, "value")}));
  EXPECT_FALSE(HasAddress(host)) << "its name exists now, without records";
  EXPECT_TRUE(HasAddress("other.wild.example.test"));
  CW_ASSERT_OK(Update(Target(), {Remove("_acme-challenge." + host, "value")}));
  EXPECT_TRUE(HasAddress(host));
}

// Fault 76.
TEST_F(Rfc2136KnotTest, AValueBesideAnAliasIsNotTakenForSeen) {
  const std::string name = "_acme-challenge.alias.example.test";
  Update(Target(), {Add(name, "value")}).IgnoreError();
  CW_ASSERT_OK_AND_ASSIGN(const PropagationReport report, Check(name, "value"));
  EXPECT_FALSE(report.propagated) << report.Summary();
  EXPECT_EQ(report.resolved_name, "alias.delegated.test");
}

// Fault 73.
TEST_F(Rfc2136KnotTest, AnswersOverUdpLimitsComeOverTcp) {
  std::vector<TxtChange> changes;
  for (int i = 0; i < 40; ++i) {
    changes.push_back(Add(kName, absl::StrCat(i, std::string(40, 'x'))));
  }
  CW_ASSERT_OK(Update(Target(), changes));
  EXPECT_EQ(Values(kName).size(), 40u);
  CW_ASSERT_OK_AND_ASSIGN(const PropagationReport report,
                          Check(kName, absl::StrCat(39, std::string(40, 'x'))));
  EXPECT_TRUE(report.propagated) << report.Summary();
}

}  // namespace
}  // namespace certwright::dns
