#include "services/issuer/certificate_description.h"

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "lib/base/mutex.h"
#include "lib/service/challenge_name.h"
#include "services/issuer/certificate_request_reconciler.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::DescribeCertificateResponse;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

meta::v1::Event MakeEvent(const std::string& kind, const std::string& name,
                          const std::string& reason, absl::Time time) {
  meta::v1::Event event;
  event.mutable_object()->set_kind(kind);
  event.mutable_object()->set_name(name);
  event.set_reason(reason);
  *event.mutable_last_time() = service::ToProto(time);
  return event;
}

// Answers with the events of the kind that is asked for, and keeps what it was asked.
class FakeEvents final : public meta::v1::EventService::CallbackService {
 public:
  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* context,
                                       const meta::v1::ListEventsRequest* request,
                                       meta::v1::ListEventsResponse* response) override {
    {
      base::MutexLock lock(mutex_);
      asked_[request->kind()] = *request;
    }
    for (const meta::v1::Event& event : events) {
      if (event.object().kind() == request->kind()) *response->add_events() = event;
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  bool WasAsked() {
    base::MutexLock lock(mutex_);
    return !asked_.empty();
  }
  // What was asked about a kind last.
  meta::v1::ListEventsRequest AskedAbout(const std::string& kind) {
    base::MutexLock lock(mutex_);
    return asked_[kind];
  }

  std::vector<meta::v1::Event> events;

 private:
  // The questions to two services come here at once.
  base::Mutex mutex_;
  std::map<std::string, meta::v1::ListEventsRequest> asked_ CW_GUARDED_BY(mutex_);
};

class FakeChallenges final : public solver::v1::ChallengeService::CallbackService {
 public:
  // Ends only when its call is cancelled.
  class NeverAnswers final : public grpc::ServerUnaryReactor {
   public:
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }
  };

  grpc::ServerUnaryReactor* ListChallenges(
      grpc::CallbackServerContext* context, const solver::v1::ListChallengesRequest* request,
      solver::v1::ListChallengesResponse* response) override {
    if (hangs) return new NeverAnswers;
    EXPECT_EQ(request->namespace_(), "web");
    EXPECT_LE(request->names_size(), 100);
    ++calls;
    for (const std::string& name : request->names()) {
      const auto it = challenges.find(name);
      if (it != challenges.end()) *response->add_challenges() = it->second;
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  bool hangs = false;
  std::atomic<int> calls = 0;
  std::map<std::string, solver::v1::Challenge> challenges;
};

class CertificateDescriptionTest : public IssuerWorld {
 protected:
  CertificateDescriptionTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&peer_events_);
    builder.RegisterService(&peer_challenges_);
    server_ = builder.BuildAndStart();
    const auto channel = grpc::CreateChannel(absl::StrCat("127.0.0.1:", port),
                                             grpc::InsecureChannelCredentials());
    event_stub_ = meta::v1::EventService::NewStub(channel);
    challenge_stub_ = solver::v1::ChallengeService::NewStub(channel);
    sources_.find_order = [this](const std::string& key) {
      const auto it = orders_.find(key);
      return it == orders_.end() ? nullptr : it->second;
    };
    sources_.order_events = event_stub_.get();
    sources_.challenges = challenge_stub_.get();
    sources_.solver_events = event_stub_.get();

    issuer::v1::Certificate certificate;
    certificate.mutable_metadata()->set_namespace_("web");
    certificate.mutable_metadata()->set_name("site");
    certificate_ = *Await(stores_->certificates.Create(Context(), certificate));
  }
  ~CertificateDescriptionTest() override { server_->Shutdown(); }

  std::shared_ptr<const issuer::v1::CertificateRequest> AddRequest(const std::string& name,
                                                                   absl::Duration age,
                                                                   bool of_another = false) {
    issuer::v1::CertificateRequest request;
    meta::v1::ObjectMeta& metadata = *request.mutable_metadata();
    metadata.set_namespace_("web");
    metadata.set_name(name);
    metadata.set_uid("uid of " + name);
    *metadata.mutable_create_time() = service::ToProto(clock_.Now() - age);
    metadata.mutable_owner()->set_kind("Certificate");
    metadata.mutable_owner()->set_name("site");
    metadata.mutable_owner()->set_uid(of_another ? "other" : certificate_.metadata().uid());
    const auto shared = std::make_shared<const issuer::v1::CertificateRequest>(request);
    requests_.Replace(nullptr, shared);
    return shared;
  }
  // With an authorization for each of its challenges.
  std::string AddOrder(const issuer::v1::CertificateRequest& request, int authorizations = 0) {
    order::v1::Order order;
    const std::string name = CertificateRequestReconciler::OrderName(request);
    order.mutable_metadata()->set_name(name);
    order.mutable_metadata()->set_uid("uid of " + name);
    for (int i = 0; i < authorizations; ++i) {
      order.mutable_status()->add_authorizations()->set_url(
          absl::StrCat("https://ca.test/", i));
    }
    orders_["web/" + name] = std::make_shared<const order::v1::Order>(order);
    return name;
  }
  // Of an authorization of the order; returns its name.
  std::string AddChallenge(const std::string& order_name, int authorization,
                           const std::string& owner_uid = "") {
    const order::v1::Order& order = *orders_.at("web/" + order_name);
    solver::v1::Challenge challenge;
    const std::string name =
        service::ChallengeName(order, order.status().authorizations(authorization));
    challenge.mutable_metadata()->set_name(name);
    challenge.mutable_metadata()->mutable_owner()->set_kind("Order");
    challenge.mutable_metadata()->mutable_owner()->set_uid(
        owner_uid.empty() ? order.metadata().uid() : owner_uid);
    peer_challenges_.challenges[name] = std::move(challenge);
    return name;
  }
  absl::StatusOr<DescribeCertificateResponse> TryDescribe(const std::string& name) {
    const CertificateDescriptions descriptions(clock_, *stores_, requests_, events_, sources_);
    return Await(descriptions.Describe(Context(), "web", name));
  }
  DescribeCertificateResponse Describe() {
    const auto response = TryDescribe("site");
    EXPECT_THAT(response, base::IsOk());
    return response.value_or(DescribeCertificateResponse());
  }
  template <typename T>
  static std::vector<std::string> Names(const T& resources) {
    std::vector<std::string> names;
    for (const auto& resource : resources) names.push_back(resource.metadata().name());
    return names;
  }
  static std::vector<std::string> Reasons(const DescribeCertificateResponse& response) {
    std::vector<std::string> reasons;
    for (const meta::v1::Event& event : response.events()) reasons.push_back(event.reason());
    return reasons;
  }

  FakeEvents peer_events_;
  FakeChallenges peer_challenges_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<meta::v1::EventService::StubInterface> event_stub_;
  std::unique_ptr<solver::v1::ChallengeService::StubInterface> challenge_stub_;
  issuer::v1::Certificate certificate_;
  CertificateRequests requests_;
  service::EventRecorder events_{clock_};
  std::map<std::string, std::shared_ptr<const order::v1::Order>> orders_;
  DescriptionSources sources_;
};

TEST_F(CertificateDescriptionTest, AnUnknownCertificateIsNotFound) {
  EXPECT_THAT(TryDescribe("other").status(),
              base::StatusIs(absl::StatusCode::kNotFound, HasSubstr("Certificate web/other")));
}

TEST_F(CertificateDescriptionTest, OneThatAsksForNothingNeedsNobody) {
  const DescribeCertificateResponse response = Describe();
  EXPECT_EQ(response.certificate().metadata().uid(), certificate_.metadata().uid());
  EXPECT_THAT(response.certificate_requests(), IsEmpty());
  EXPECT_THAT(response.events(), IsEmpty());
  EXPECT_FALSE(peer_events_.WasAsked());
}

TEST_F(CertificateDescriptionTest, ShowsAllThatExistsOnItsBehalfAndNothingElse) {
  const auto old = AddRequest("site-1", absl::Hours(2));
  const auto now = AddRequest("site-2", absl::Hours(1));
  AddRequest("site-0", absl::Hours(3), /*of_another=*/true);
  const std::string order = AddOrder(*now, 4);
  const std::string first = AddChallenge(order, 0);
  AddChallenge(order, 1, "other");
  const std::string last = AddChallenge(order, 3);
  const DescribeCertificateResponse response = Describe();
  EXPECT_THAT(Names(response.certificate_requests()), ElementsAre("site-2", "site-1"));
  EXPECT_THAT(Names(response.orders()), ElementsAre(order));
  EXPECT_THAT(Names(response.challenges()), ElementsAre(first, last));
  EXPECT_THAT(response.events(), IsEmpty());
  // Of an Order that is gone there may be events.
  EXPECT_THAT(peer_events_.AskedAbout("Order").names(),
              ElementsAre(order, CertificateRequestReconciler::OrderName(*old)));
  EXPECT_EQ(peer_events_.AskedAbout("Order").namespace_(), "web");
  EXPECT_THAT(peer_events_.AskedAbout("Challenge").names(), ElementsAre(first, last));
}

TEST_F(CertificateDescriptionTest, MergesTheEventsOfAllByTime) {
  const auto request = AddRequest("site-1", absl::ZeroDuration());
  const std::string order = AddOrder(*request, 1);
  const std::string challenge = AddChallenge(order, 0);
  const absl::Time start = clock_.Now();
  peer_events_.events = {
      MakeEvent("Order", order, "Placed", start + absl::Seconds(2)),
      MakeEvent("Challenge", challenge, "Presented", start + absl::Seconds(3)),
      MakeEvent("Challenge", challenge, "Valid", start + absl::Seconds(4)),
      MakeEvent("Order", order, "Issued", start + absl::Seconds(5))};
  const auto news = [](const char* reason) {
    return service::EventNews{meta::v1::EVENT_SEVERITY_NORMAL, reason, ""};
  };
  meta::v1::ObjectMeta earlier = certificate_.metadata();
  earlier.set_uid("an earlier one of this name");
  events_.Record("Certificate", earlier, news("Old"));
  events_.Record("Certificate", certificate_.metadata(), news("Issuing"));
  clock_.Advance(absl::Seconds(1));
  events_.Record("CertificateRequest", request->metadata(), news("Approved"));
  clock_.Advance(absl::Seconds(5));
  events_.Record("Certificate", certificate_.metadata(), news("Ready"));
  EXPECT_THAT(Reasons(Describe()), ElementsAre("Issuing", "Approved", "Placed", "Presented",
                                               "Valid", "Issued", "Ready"));
}

TEST_F(CertificateDescriptionTest, AsksForTheChallengesByTheirNames) {
  const std::string order = AddOrder(*AddRequest("site-1", absl::ZeroDuration()), 150);
  for (int i = 0; i < 150; ++i) AddChallenge(order, i);
  EXPECT_EQ(Describe().challenges_size(), 150);
  EXPECT_EQ(peer_challenges_.calls, 2);
}

TEST_F(CertificateDescriptionTest, SaysThatItKnowsNoSolverService) {
  AddOrder(*AddRequest("site-1", absl::ZeroDuration()));
  sources_.challenges = nullptr;
  sources_.solver_events = nullptr;
  const DescribeCertificateResponse response = Describe();
  ASSERT_THAT(Reasons(response), ElementsAre("SolverUnavailable"));
  EXPECT_EQ(response.events(0).type(), meta::v1::EVENT_SEVERITY_WARNING);
  EXPECT_EQ(response.events(0).object().name(), "site");
  EXPECT_THAT(response.events(0).message(), HasSubstr("names no solver service"));
}

TEST_F(CertificateDescriptionTest, ASolverThatDoesNotAnswerIsLeftOut) {
  const std::string order = AddOrder(*AddRequest("site-1", absl::ZeroDuration()), 1);
  peer_events_.events = {MakeEvent("Order", order, "Placed", clock_.Now())};
  peer_challenges_.hangs = true;
  sources_.timeout = absl::Milliseconds(200);
  EXPECT_THAT(Reasons(Describe()), ElementsAre("Placed", "SolverUnavailable"));
}

TEST_F(CertificateDescriptionTest, ServicesThatAreAwayAreLeftOut) {
  const std::string order = AddOrder(*AddRequest("site-1", absl::ZeroDuration()), 1);
  AddChallenge(order, 0);
  server_->Shutdown();
  const DescribeCertificateResponse response = Describe();
  EXPECT_THAT(Reasons(response), ElementsAre("OrderServiceUnavailable", "SolverUnavailable"));
  EXPECT_THAT(Names(response.orders()), ElementsAre(order));
}

}  // namespace
}  // namespace certwright::issuer_service
