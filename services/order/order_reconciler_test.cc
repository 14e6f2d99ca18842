#include "services/order/order_reconciler.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/key_authorization.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/certificate.h"
#include "services/order/order_reconciler_fixture.h"

namespace certwright::order {
namespace {

using base::StatusIs;
using controller::Result;
using solver::v1::CHALLENGE_STATE_PRESENTED;
using solver::v1::CHALLENGE_STATE_VALID;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class OrderReconcilerTest : public OrderReconcilerFixture {};

TEST_F(OrderReconcilerTest, IssuesWithFourCommitsAndFiveRequests) {
  Create({"example.test"});
  const Result waiting = Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_PENDING);
  EXPECT_EQ(waiting.requeue_after, absl::Hours(24 * 7));
  ASSERT_THAT(challenges_.challenges, SizeIs(1));
  Prove();
  Pass();

  const v1::Order order = Read();
  EXPECT_EQ(order.status().state(), v1::ORDER_STATE_VALID);
  CW_ASSERT_OK_AND_ASSIGN(const auto chain, pki::ParseChainPem(order.status().certificate()));
  EXPECT_THAT(chain[0].names.dns_names, ElementsAre("example.test"));
  EXPECT_EQ(Ready().reason(), "Issued");
  EXPECT_EQ(Ready().status(), meta::v1::CONDITION_STATUS_TRUE);
  EXPECT_TRUE(order.status().has_placed_time());
  EXPECT_EQ(store_.commits(), 4);
  EXPECT_THAT(ca_->calls, ElementsAre("NewOrder", "GetAuthorization", "Finalize", "GetOrder",
                                      "DownloadCertificate"));
  EXPECT_THAT(finished_, ElementsAre(v1::ORDER_STATE_VALID));
}

TEST_F(OrderReconcilerTest, DescribesTheChallengeToTheSolver) {
  Create({"*.example.test"});
  Pass();
  ASSERT_THAT(challenges_.challenges, SizeIs(1));
  const solver::v1::Challenge challenge = *challenges_.challenges.begin()->second;
  EXPECT_EQ(challenge.metadata().namespace_(), "default");
  EXPECT_EQ(challenge.metadata().owner().kind(), "Order");
  EXPECT_EQ(challenge.metadata().owner().name(), "o");
  EXPECT_EQ(challenge.metadata().owner().uid(), Read().metadata().uid());
  EXPECT_EQ(challenge.spec().dns_name(), "example.test");
  EXPECT_TRUE(challenge.spec().wildcard());
  EXPECT_EQ(challenge.spec().type(), solver::v1::CHALLENGE_TYPE_DNS01);
  EXPECT_EQ(challenge.spec().solver_name(), "dns");
  EXPECT_EQ(challenge.spec().issuer_ref().name(), "ca");
  EXPECT_EQ(challenge.spec().url(), challenge.spec().authorization_url() + "/dns-01");
  EXPECT_EQ(challenge.spec().key(), acme::Dns01Digest(acme::KeyAuthorization(
                                        challenge.spec().token(), ca_->key_thumbprint())));
}

// Fault 36.
TEST_F(OrderReconcilerTest, AnOrderBornReadyNeedsNeitherAuthorizationsNorChallenges) {
  ca_->born_ready = true;
  ca_->processing_polls = 0;
  Create({"a.test", "b.test"});
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_THAT(ca_->calls, ElementsAre("NewOrder", "Finalize", "DownloadCertificate"));
  EXPECT_EQ(store_.commits(), 3);
}

// Fault 38.
TEST_F(OrderReconcilerTest, ProvesOnlyTheNamesThatAreNotProvenYet) {
  Create({"a.test", "b.test"});
  store_.BeforeNextCommit([this] { ca_->Validate(AuthorizationOf("a.test")); });
  Pass();
  ASSERT_THAT(challenges_.challenges, SizeIs(1));
  EXPECT_EQ(challenges_.challenges.begin()->second->spec().dns_name(), "b.test");
  Prove();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
}

TEST_F(OrderReconcilerTest, SaysPerChallengeWhatIsMissing) {
  Create({"a.test", "b.test"});
  Pass();
  EXPECT_EQ(Read().status().reason(), "2 names have to be proven: a.test, b.test.");
  challenges_.Set("a.test", CHALLENGE_STATE_VALID);
  challenges_.Set("b.test", CHALLENGE_STATE_PRESENTED,
                  "ns.b.test (127.0.0.1:5353) does not have the record");
  const int commits = store_.commits();
  Pass();
  Pass();
  EXPECT_EQ(Read().status().reason(),
            "1 of 2 challenges are not valid yet: b.test (DNS01): ns.b.test (127.0.0.1:5353) "
            "does not have the record.");
  EXPECT_EQ(Ready().reason(), "Pending");
  EXPECT_EQ(store_.commits(), commits + 1) << "an unchanged status is not written";
}

// Fault 87.
TEST_F(OrderReconcilerTest, ARestartAfterAnyCommitEndsInOneOrderAndACertificate) {
  for (int n = 2; n <= 4; ++n) {
    for (const bool applied : {true, false}) {
      SCOPED_TRACE(testing::Message() << "commit " << n << (applied ? " applied" : " lost"));
      MemoryStore memory;
      store::MortalStore store(memory);
      OrderStore orders(store, "orders", clock_, random_);
      auto ca = std::make_shared<FakeAuthority>();
      ca->settings = ca_->settings;
      FakeAuthorities authorities(ca);
      FakeChallenges challenges;
      const v1::Order created = [&] {
        pki::CsrSpec csr;
        csr.names.dns_names = {"example.test"};
        v1::Order order;
        order.mutable_metadata()->set_namespace_("default");
        order.mutable_metadata()->set_name("o");
        order.mutable_spec()->set_request(*pki::CreateCsrPem(csr, key_));
        order.mutable_spec()->add_dns_names("example.test");
        return runtime::RunSync(orders.Create(Context(), order)).value_or(order);
      }();
      store.DieAtCommit(n - store.commits(), applied);
      int deaths = 0;
      for (int i = 0; i < 6; ++i) {
        reconciler_ = std::make_unique<OrderReconciler>(OrderEnvironment{
            timers_, random_, orders, authorities, challenges, absl::Hours(24), nullptr});
        if (!TryPass().has_value()) ++deaths;
        for (auto& [url, authorization] : ca->authorizations) {
          if (challenges.challenges.empty()) break;
          ca->Validate(url);
          challenges.Set("example.test", CHALLENGE_STATE_VALID);
        }
      }
      const v1::Order order =
          runtime::RunSync(orders.Get(Context(), "default", "o")).value_or(created);
      EXPECT_EQ(deaths, 1);
      EXPECT_EQ(order.status().state(), v1::ORDER_STATE_VALID);
      EXPECT_THAT(challenges.challenges, SizeIs(1));
      // Only the answer of newOrder itself can be lost, and then the CA gives the same order.
      EXPECT_EQ(ca->Count("NewOrder"), n == 2 && !applied ? 2 : 1);
      EXPECT_EQ(ca->order.url, "https://ca.test/order/1");
    }
  }
}

// Fault 19.
TEST_F(OrderReconcilerTest, AnOrderThatCouldNotBeReadWhenItWasPlacedIsKept) {
  ca_->garbles_new_orders = true;
  Create({"example.test"});
  ca_->FailNext("GetOrder", absl::UnavailableError("still down"));
  EXPECT_FALSE(TryPass()->ok());
  EXPECT_EQ(Read().status().url(), "https://ca.test/order/1");
  Restart();
  Pass();
  ASSERT_THAT(challenges_.challenges, SizeIs(1));
  Prove();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_EQ(ca_->Count("NewOrder"), 1);
}

// Faults 19 and 42.
TEST_F(OrderReconcilerTest, AnOrderThatTurnsOutToBeForOtherNamesIsRefused) {
  ca_->garbles_new_orders = true;
  Create({"a.test", "b.test"});
  store_.BeforeNextCommit([this] { ca_->order.identifiers.pop_back(); });
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("for other names than asked for: a.test"));
  EXPECT_EQ(challenges_.creations, 0);
}

// Fault 17.
TEST_F(OrderReconcilerTest, AFinalizeWhoseReplyIsLostIsNotRepeated) {
  Create({"example.test"});
  Pass();
  Prove();
  ca_->LoseReplyOf("Finalize");
  EXPECT_THAT(*TryPass(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(State(), v1::ORDER_STATE_READY);
  EXPECT_EQ(Ready().reason(), "ServerUnavailable");
  Restart();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_EQ(ca_->Count("Finalize"), 1);
}

TEST_F(OrderReconcilerTest, ARepeatedFinalizeIsAnsweredByReadingTheOrder) {
  Create({"example.test"});
  Pass();
  Prove();
  store_.DieAtCommit(4 - store_.commits(), false);
  EXPECT_FALSE(TryPass().has_value());
  Restart();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_EQ(ca_->Count("Finalize"), 2);
  EXPECT_EQ(ca_->Count("NewOrder"), 1);
}

// Fault 51.
TEST_F(OrderReconcilerTest, OrderNotReadyIsReadAndTriedAgain) {
  Create({"example.test"});
  Pass();
  Prove();
  ca_->FailNext("Finalize", FakeAuthority::NotReady());
  ca_->FailNext("Finalize", FakeAuthority::NotReady());
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_EQ(ca_->Count("Finalize"), 3);
}

// Fault 51.
TEST_F(OrderReconcilerTest, AnOrderThatNeverGetsReadyIsLeftAloneAfterFiveTries) {
  Create({"example.test"});
  Pass();
  Prove();
  for (int i = 0; i < 10; ++i) ca_->FailNext("Finalize", FakeAuthority::NotReady());
  EXPECT_FALSE(TryPass()->ok());
  EXPECT_EQ(ca_->Count("Finalize"), 6);
  EXPECT_EQ(State(), v1::ORDER_STATE_READY);
}

// Fault 51.
TEST_F(OrderReconcilerTest, WaitsForACaThatIsSlowToCountItsValidations) {
  Create({"example.test"});
  Pass();
  challenges_.Set("example.test", CHALLENGE_STATE_VALID);
  const Result polling = Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_PENDING);
  ASSERT_TRUE(polling.requeue_after.has_value());
  EXPECT_LT(*polling.requeue_after, absl::Seconds(1));
  Prove();
  clock_.Advance(*polling.requeue_after);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_EQ(ca_->Count("Finalize"), 2);
}

// Fault 50.
TEST_F(OrderReconcilerTest, LongProcessingIsPolledAndNotFinalizedAgain) {
  ca_->processing_polls = 30;
  Create({"example.test"});
  Pass();
  Prove();
  int passes = 0;
  while (State() != v1::ORDER_STATE_VALID && passes < 60) {
    const Result result = Pass();
    EXPECT_TRUE(State() == v1::ORDER_STATE_PROCESSING || State() == v1::ORDER_STATE_VALID);
    ++passes;
    // An event in between asks the CA nothing.
    const int asked = ca_->Count("GetOrder");
    Pass();
    if (State() != v1::ORDER_STATE_VALID) {
      EXPECT_EQ(ca_->Count("GetOrder"), asked);
    }
    if (passes == 10) Restart();
    clock_.Advance(result.requeue_after.value_or(absl::ZeroDuration()));
  }
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_EQ(ca_->Count("Finalize"), 1);
}

// Fault 50.
TEST_F(OrderReconcilerTest, ObeysTheRetryAfterOfAProcessingOrderAcrossARestart) {
  ca_->processing_polls = 2;
  Create({"example.test"});
  Pass();
  Prove();
  ca_->retry_at = clock_.Now() + absl::Seconds(30);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_PROCESSING);
  EXPECT_TRUE(Read().status().has_next_check_time());
  Restart();
  const int asked = ca_->Count("GetOrder");
  const Result waiting = Pass();
  EXPECT_EQ(ca_->Count("GetOrder"), asked);
  clock_.Advance(*waiting.requeue_after);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
}

// Fault 50.
TEST_F(OrderReconcilerTest, AfterSixtyPollsTheCaIsAskedOnceAMinuteAtMost) {
  ca_->processing_polls = 1000;
  Create({"example.test"});
  Pass();
  Prove();
  int polls = 0;
  while (polls < 70) {
    const Result result = Pass();
    // The next one is planned, and not made.
    polls = ca_->Count("GetOrder") + 1;
    EXPECT_EQ(*result.requeue_after >= absl::Minutes(1), polls > 60) << polls;
    EXPECT_LE(*result.requeue_after, absl::Minutes(2)) << polls;
    clock_.Advance(*result.requeue_after);
  }
  EXPECT_EQ(State(), v1::ORDER_STATE_PROCESSING);
}

TEST_F(OrderReconcilerTest, ACaThatAsksForHoursIsLeftAloneForHours) {
  ca_->processing_polls = 2;
  Create({"example.test"});
  Pass();
  Prove();
  ca_->retry_at = clock_.Now() + absl::Hours(5);
  const Result waiting = Pass();
  EXPECT_EQ(clock_.Now() + *waiting.requeue_after, ca_->retry_at);
  EXPECT_EQ(State(), v1::ORDER_STATE_PROCESSING);
  clock_.Advance(*waiting.requeue_after);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
}

// Fault 50.
TEST_F(OrderReconcilerTest, ProcessingEndsWithTheCasOrder) {
  ca_->processing_polls = 1000;
  Create({"example.test"});
  Pass();
  Prove();
  ca_->retry_at = clock_.Now() + absl::Hours(24 * 30);
  const Result waiting = Pass();
  EXPECT_EQ(clock_.Now() + *waiting.requeue_after, ca_->expires);
  clock_.Advance(*waiting.requeue_after);
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_EXPIRED);
  EXPECT_THAT(Read().status().reason(), HasSubstr("the CA is still working on it"));
  EXPECT_EQ(ca_->Count("Finalize"), 1);
}

TEST_F(OrderReconcilerTest, IssuesForAddresses) {
  ca_->settings.mutable_solvers(0)->mutable_http01();
  pki::CsrSpec csr;
  csr.names.ip_addresses = {"192.0.2.1", "2001:db8::1"};
  v1::Order order;
  order.mutable_metadata()->set_namespace_("default");
  order.mutable_metadata()->set_name("o");
  order.mutable_spec()->set_request(*pki::CreateCsrPem(csr, key_));
  order.mutable_spec()->mutable_issuer_ref()->set_name("ca");
  for (const std::string& address : csr.names.ip_addresses) {
    order.mutable_spec()->add_ip_addresses(address);
  }
  CW_ASSERT_OK(runtime::RunSync(orders_.Create(Context(), order)));
  Pass();
  EXPECT_THAT(
      ca_->last_request.identifiers,
      UnorderedElementsAre(acme::IpIdentifier("192.0.2.1"), acme::IpIdentifier("2001:db8::1")));
  EXPECT_THAT(challenges_.challenges, SizeIs(2));
  Prove();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  CW_ASSERT_OK_AND_ASSIGN(const auto chain, pki::ParseChainPem(Read().status().certificate()));
  EXPECT_THAT(chain[0].names.ip_addresses, UnorderedElementsAre("192.0.2.1", "2001:db8::1"));
}

// Faults 61 and 105.
TEST_F(OrderReconcilerTest, TakesAChainInWhateverOrderItComes) {
  using Chain = std::vector<pki::Certificate>;
  const pki::TestCa intermediate = pki::TestCa("Root").MakeIntermediate("Intermediate");
  const pki::Certificate above = intermediate.certificate();
  const pki::Certificate stranger = pki::TestCa("Stranger").certificate();
  int number = 0;
  for (const std::function<Chain(pki::Certificate)>& arrange :
       std::vector<std::function<Chain(pki::Certificate)>>{
           [&](auto leaf) {
             return Chain{above, leaf};
           },
           [&](auto leaf) {
             return Chain{leaf, leaf, above};
           },
           [&](auto leaf) {
             return Chain{above, leaf, above};
           },
           [&](auto leaf) {
             return Chain{leaf, stranger, above};
           }}) {
    const std::string name = absl::StrCat("o", ++number);
    ca_->rearrange = [&](Chain& chain) { chain = arrange(ca_->IssueBy(intermediate)); };
    Create({name + ".test"}, name);
    Pass(name);
    Prove();
    Pass(name);
    ASSERT_EQ(Read(name).status().state(), v1::ORDER_STATE_VALID) << number;
    CW_ASSERT_OK_AND_ASSIGN(const auto chain,
                            pki::ParseChainPem(Read(name).status().certificate()));
    ASSERT_EQ(chain.size(), 2u);
    EXPECT_EQ(chain[0].public_key, key_.public_key());
    EXPECT_EQ(chain[1].subject_common_name, "Intermediate");
  }
}

// Fault 63.
TEST_F(OrderReconcilerTest, TakesThePreferredChain) {
  const pki::TestCa other("Other Root");
  ca_->settings.set_preferred_chain("Other Root");
  ca_->alternate_urls = {"https://ca.test/broken", "https://ca.test/other"};
  Create({"a.test"});
  Pass();
  Prove();
  ca_->LoseReplyOf("DownloadCertificate");
  EXPECT_FALSE(TryPass()->ok());
  ca_->alternates["https://ca.test/other"] = other.ChainFor(ca_->IssueBy(other));
  Pass();
  CW_ASSERT_OK_AND_ASSIGN(const auto chain, pki::ParseChainPem(Read().status().certificate()));
  EXPECT_EQ(chain[0].issuer_common_name, "Other Root");
  EXPECT_EQ(Read().status().reason(), "");
}

// Fault 63.
TEST_F(OrderReconcilerTest, AnAlternateChainThatIsBadIsPassedOver) {
  const pki::TestCa other("Other Root");
  const auto sign = [&](const pki::PrivateKey& key, const std::string& name,
                        absl::Time not_after) {
    pki::TestCertificateSpec spec;
    spec.names.dns_names = {name};
    spec.not_after = not_after;
    return other.ChainFor(other.Sign(key.public_key(), spec));
  };
  const absl::Time later = clock_.Now() + absl::Hours(24);
  const std::vector<std::pair<std::string, std::vector<pki::Certificate>>> bad = {
      {"key", sign(*pki::PrivateKey::Generate(pki::KeySpec()), "a.test", later)},
      {"names", sign(key_, "b.test", later)},
      {"expired", sign(key_, "a.test", clock_.Now() - absl::Hours(1))}};
  ca_->settings.set_preferred_chain("Other Root");
  for (const auto& [what, chain] : bad) {
    ca_->alternate_urls = {"https://ca.test/" + what};
    ca_->alternates["https://ca.test/" + what] = chain;
    Create({"a.test"}, what);
    Pass(what);
    Prove();
    Pass(what);
    CW_ASSERT_OK_AND_ASSIGN(const auto taken,
                            pki::ParseChainPem(Read(what).status().certificate()));
    EXPECT_EQ(taken[0].issuer_common_name, "Fake Root") << what;
    EXPECT_THAT(Read(what).status().reason(), HasSubstr("does not offer")) << what;
  }
}

// Fault 63.
TEST_F(OrderReconcilerTest, TriesTenAlternateChainsAndNoMore) {
  const pki::TestCa other("Other Root");
  ca_->settings.set_preferred_chain("Other Root");
  for (int i = 1; i <= 15; ++i) {
    ca_->alternate_urls.push_back(absl::StrCat("https://ca.test/chain/", i));
  }
  for (const int good : {11, 10}) {
    const std::string name = absl::StrCat("o", good);
    Create({"a.test"}, name);
    Pass(name);
    Prove();
    ca_->LoseReplyOf("DownloadCertificate");
    EXPECT_FALSE(TryPass(name)->ok());
    ca_->alternates.clear();
    ca_->alternates[absl::StrCat("https://ca.test/chain/", good)] =
        other.ChainFor(ca_->IssueBy(other));
    const int before = ca_->Count("DownloadAlternate");
    Pass(name);
    EXPECT_EQ(ca_->Count("DownloadAlternate") - before, 10);
    CW_ASSERT_OK_AND_ASSIGN(const auto taken,
                            pki::ParseChainPem(Read(name).status().certificate()));
    EXPECT_EQ(taken[0].issuer_common_name, good == 10 ? "Other Root" : "Fake Root");
  }
}

// Fault 63.
TEST_F(OrderReconcilerTest, TakesTheDefaultChainWhereThePreferredOneIsNotOffered) {
  ca_->settings.set_preferred_chain("Other Root");
  Create({"a.test"});
  Pass();
  Prove();
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_VALID);
  EXPECT_THAT(Ready().message(), HasSubstr("does not offer the chain Other Root"));
}

TEST_F(OrderReconcilerTest, AsksForWhatTheSpecAndTheIssuerSay) {
  ca_->settings.set_enable_duration_feature(true);
  ca_->settings.set_profile("shortlived");
  Create({"b.test", "a.test"});
  v1::Order order = Read();
  order.mutable_spec()->mutable_duration()->set_seconds(3600);
  order.mutable_spec()->set_replaces("aki.serial");
  CW_ASSERT_OK(runtime::RunSync(orders_.Update(Context(), order)));
  Pass();
  EXPECT_THAT(ca_->last_request.identifiers,
              ElementsAre(acme::DnsIdentifier("a.test"), acme::DnsIdentifier("b.test")));
  EXPECT_EQ(ca_->last_request.not_after, clock_.Now() + absl::Hours(1));
  EXPECT_EQ(ca_->last_request.profile, "shortlived");
  EXPECT_EQ(ca_->last_request.replaces, "aki.serial");
}

// Fault 37.
TEST_F(OrderReconcilerTest, TwoOrdersForTheSameNamesDoNotShareOneOfTheCa) {
  Create({"a.test"}, "o");
  Create({"a.test"}, "p");
  Pass("o");
  EXPECT_EQ(Pass("p").requeue_after, absl::Seconds(5));
  EXPECT_EQ(Read("p").status().url(), "");
  EXPECT_THAT(Read("p").status().reason(), HasSubstr("default/o"));
  Prove();
  Pass("o");
  EXPECT_EQ(Read("o").status().state(), v1::ORDER_STATE_VALID);
  Pass("p");
  EXPECT_EQ(Read("p").status().url(), "https://ca.test/order/2");
}

// Fault 37.
TEST_F(OrderReconcilerTest, AfterARestartAnOrderStillHasTheCasOrderToItself) {
  for (const bool second_first : {false, true}) {
    const std::string o = absl::StrCat("o", second_first);
    const std::string p = absl::StrCat("p", second_first);
    Create({"a.test"}, o);
    Create({"a.test"}, p);
    Pass(o);
    Restart();
    if (!second_first) Pass(o);
    EXPECT_EQ(Pass(p).requeue_after, absl::Seconds(5));
    EXPECT_EQ(Read(p).status().url(), "");
    Prove();
    Pass(o);
    EXPECT_EQ(Read(o).status().state(), v1::ORDER_STATE_VALID);
    Pass(p);
    Prove();
    Pass(p);
    EXPECT_EQ(Read(p).status().state(), v1::ORDER_STATE_VALID);
  }
}

// A CA may take an order up again; whoever had it before is done with it.
TEST_F(OrderReconcilerTest, AnIssuedOrderIsForgotten) {
  Create({"a.test"}, "o");
  Pass("o");
  Prove();
  Pass("o");
  EXPECT_EQ(Read("o").status().state(), v1::ORDER_STATE_VALID);
  ca_->order.status = acme::OrderStatus::kReady;
  ca_->order.certificate = {};
  ca_->processing_polls = 0;
  Create({"a.test"}, "p");
  Pass("p");
  EXPECT_EQ(Read("p").status().url(), Read("o").status().url());
  EXPECT_EQ(Read("p").status().state(), v1::ORDER_STATE_VALID);
}

TEST_F(OrderReconcilerTest, AnOrderOfAnotherNamespaceIsNotNamed) {
  Create({"a.test"}, "secret-project", "other-team");
  ASSERT_TRUE(TryPass("secret-project", "other-team").has_value());
  Create({"a.test"}, "p");
  EXPECT_EQ(Pass("p").requeue_after, absl::Seconds(5));
  EXPECT_THAT(Read("p").status().reason(), HasSubstr("another namespace"));
  EXPECT_THAT(Read("p").SerializeAsString(), Not(HasSubstr("other-team")));
  EXPECT_THAT(Read("p").SerializeAsString(), Not(HasSubstr("secret-project")));
}

// Fault 42.
TEST_F(OrderReconcilerTest, ANameThatNobodyAskedForIsNotProven) {
  Create({"a.test"});
  store_.BeforeNextCommit([this] {
    for (auto& [url, authorization] : ca_->authorizations) {
      authorization.identifier.value = "victim.test";
    }
  });
  Pass();
  EXPECT_EQ(State(), v1::ORDER_STATE_ERRORED);
  EXPECT_EQ(challenges_.creations, 0);
}

TEST_F(OrderReconcilerTest, TheOrdersUrlIsKeptThoughTheOrderWasDeletedMeanwhile) {
  Create({"a.test"});
  store_.BeforeNextCommit([this] {
    CW_EXPECT_OK(runtime::RunSync(orders_.MarkDeleted(Context(), "default", "o")));
  });
  Pass();
  EXPECT_THAT(runtime::RunSync(orders_.Get(Context(), "default", "o")),
              StatusIs(absl::StatusCode::kNotFound));
  // The CA is not left with an authorization that nobody will ever prove.
  EXPECT_THAT(ca_->calls,
              ElementsAre("NewOrder", "GetAuthorization", "DeactivateAuthorization"));
  EXPECT_EQ(challenges_.creations, 0);
}

TEST_F(OrderReconcilerTest, AnAbortedOrderLeavesProvenAuthorizationsToOthers) {
  Create({"a.test"});
  ca_->born_ready = true;
  store_.BeforeNextCommit([this] {
    CW_EXPECT_OK(runtime::RunSync(orders_.MarkDeleted(Context(), "default", "o")));
  });
  Pass();
  EXPECT_THAT(ca_->deactivated, IsEmpty());
}

TEST_F(OrderReconcilerTest, ACaThatKeepsAnAuthorizationDoesNotKeepTheOrder) {
  Create({"a.test"});
  Pass();
  CW_ASSERT_OK(runtime::RunSync(orders_.MarkDeleted(Context(), "default", "o")));
  ca_->FailNext("DeactivateAuthorization", absl::UnavailableError("connection reset"));
  Pass();
  EXPECT_EQ(ca_->Count("DeactivateAuthorization"), 1);
  EXPECT_THAT(runtime::RunSync(orders_.Get(Context(), "default", "o")),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(OrderReconcilerTest, ADeletedOrderTakesItsChallengesAlong) {
  Create({"a.test", "b.test"});
  Pass();
  challenges_.Set("a.test", CHALLENGE_STATE_VALID);
  CW_ASSERT_OK(runtime::RunSync(orders_.MarkDeleted(Context(), "default", "o")));
  challenges_.delete_error = absl::UnavailableError("solver is down");
  EXPECT_FALSE(TryPass()->ok());
  EXPECT_EQ(Read().metadata().name(), "o");
  challenges_.delete_error = absl::OkStatus();
  Pass();
  EXPECT_THAT(challenges_.challenges, IsEmpty());
  EXPECT_THAT(ca_->deactivated, ElementsAre(AuthorizationOf("b.test")));
  EXPECT_THAT(runtime::RunSync(orders_.Get(Context(), "default", "o")),
              StatusIs(absl::StatusCode::kNotFound));
  Pass();  // A late event of an order that is gone.
}

TEST_F(OrderReconcilerTest, AFinishedOrderIsDeletedAfterItsRetention) {
  Create({"a.test"});
  Pass();
  Prove();
  EXPECT_EQ(Pass().requeue_after, absl::Hours(24));
  clock_.Advance(absl::Hours(24));
  Pass();
  EXPECT_THAT(runtime::RunSync(orders_.Get(Context(), "default", "o")),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(challenges_.challenges, IsEmpty());
  EXPECT_THAT(ca_->deactivated, IsEmpty());
}

TEST_F(OrderReconcilerTest, AChallengeThatVanishedIsMadeAgain) {
  Create({"a.test"});
  Pass();
  challenges_.challenges.clear();
  Pass();
  EXPECT_THAT(challenges_.challenges, SizeIs(1));
}

// Fault 90.
TEST_F(OrderReconcilerTest, ASolverServiceThatIsDownIsTriedAgain) {
  challenges_.create_error = absl::UnavailableError("connection refused");
  Create({"a.test"});
  EXPECT_FALSE(TryPass()->ok());
  EXPECT_EQ(Ready().reason(), "Pending");
  EXPECT_THAT(Ready().message(), HasSubstr("solver service"));
  challenges_.create_error = absl::OkStatus();
  Pass();
  EXPECT_THAT(Ready().message(), testing::Not(HasSubstr("solver service")));
}

}  // namespace
}  // namespace certwright::order
