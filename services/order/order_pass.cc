#include "services/order/order_pass.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/acme/poll.h"
#include "lib/acme/problem.h"
#include "lib/base/clock_conversion.h"
#include "lib/base/fault_point.h"
#include "lib/base/status_macros.h"
#include "lib/pki/csr.h"
#include "lib/rpc/refusal.h"
#include "lib/service/challenge_name.h"
#include "lib/service/conditions.h"
#include "lib/store/resource_key.h"
#include "lib/telemetry/log.h"
#include "services/order/certificate_download.h"
#include "services/order/challenge_plan.h"
#include "services/order/order_adoption.h"
#include "services/order/order_names.h"
#include "services/order/order_tidying.h"

namespace certwright::order {
namespace {

// More steps than any order takes in one pass: a CA that sends an order in circles is left
// alone for a while.
constexpr int kMaxSteps = 64;
constexpr int kMaxRefusals = 5;
// A CA that needs less is waited for within the pass.
constexpr absl::Duration kShortWait = absl::Milliseconds(100);
// Shorter waits are not worth a write.
constexpr absl::Duration kNotedWait = absl::Seconds(1);
// Polls after which the CA is taken to need hours, for example for a person's approval.
constexpr int kManyPolls = 60;
constexpr absl::Duration kParkedPoll = absl::Minutes(1);
constexpr absl::Duration kSharedOrderRetry = absl::Seconds(5);
constexpr absl::Duration kIssuerServiceRetry = absl::Seconds(5);
// What is done on a best-effort basis may take so long.
constexpr absl::Duration kTidyTimeout = absl::Seconds(10);
// How long an order that could not be read when it was placed, and so has no end that is known,
// is asked for.
constexpr absl::Duration kUnreadOrderLimit = absl::Minutes(10);

std::optional<controller::Result> GoOn() { return std::nullopt; }

std::vector<const solver::v1::Challenge*> Pointers(
    const std::vector<Challenges::Shared>& challenges) {
  std::vector<const solver::v1::Challenge*> pointers;
  pointers.reserve(challenges.size());
  for (const Challenges::Shared& challenge : challenges) pointers.push_back(challenge.get());
  return pointers;
}

// Another Order by its key, for whoever may read this one: of other namespaces nothing is told.
std::string NameFor(const meta::v1::ObjectMeta& metadata, const std::string& other_key) {
  const bool same_namespace =
      absl::StartsWith(other_key, store::QueueKey(metadata.namespace_(), ""));
  return same_namespace ? absl::StrCat("order ", other_key) : "an order of another namespace";
}

}  // namespace

OrderPass::OrderPass(const OrderEnvironment& environment, OrderMemory& memory,
                     runtime::Context context, v1::Order stored)
    : environment_(environment),
      memory_(memory),
      context_(std::move(context)),
      key_(store::QueueKey(stored.metadata().namespace_(), stored.metadata().name())),
      record_(environment.orders, environment.timers.clock(), std::move(stored)),
      authority_(environment.authorities.Find(order().spec().issuer_ref(),
                                              order().metadata().namespace_())) {}

runtime::Awaitable<absl::StatusOr<controller::Result>> OrderPass::Run() {
  // One whose record was too large to be kept was ended outside of any step.
  if (IsFinal(order().status().state())) memory_.Forget(key_);
  for (int steps = 0; steps < kMaxSteps; ++steps) {
    CW_CO_RETURN_IF_ERROR(context_.Check());
    const Action action = Decide(order(), TakeSnapshot(), Now());
    CW_CO_ASSIGN_OR_RETURN(const std::optional<controller::Result> result, co_await Do(action));
    if (result.has_value()) co_return *result;
  }
  co_return absl::UnavailableError("the CA sends this order in circles");
}

Snapshot OrderPass::TakeSnapshot() {
  challenges_.clear();
  for (const v1::Authorization& authorization : order().status().authorizations()) {
    Challenges::Shared challenge = environment_.challenges.Find(store::QueueKey(
        order().metadata().namespace_(), service::ChallengeName(order(), authorization)));
    if (challenge == nullptr) {
      auto created = created_.find(authorization.url());
      if (created != created_.end()) challenge = created->second;
    }
    challenges_.push_back(std::move(challenge));
  }
  Snapshot snapshot;
  snapshot.account = authority_.status();
  snapshot.ca_order = ca_order_.has_value() ? &*ca_order_ : nullptr;
  snapshot.challenges = Pointers(challenges_);
  snapshot.finalized = finalized_;
  snapshot.finalize_refused = refusals_ > 0;
  TakeWaits(snapshot);
  snapshot.retention = environment_.retention;
  return snapshot;
}

// Of what an earlier process wrote down under a clock that has been set back since, nothing
// counts.
void OrderPass::TakeWaits(Snapshot& snapshot) const {
  const OrderMemory::Waits waits = memory_.waits(key_);
  const v1::OrderStatus& status = order().status();
  const bool in_order = service::FromProto(order().metadata().create_time()) <= Now();
  snapshot.polls = waits.polls;
  if (waits.polls > 0) {
    snapshot.next_poll = base::WallAt(clock(), waits.next_poll);
  } else if (status.has_next_check_time() && in_order) {
    snapshot.next_poll = service::FromProto(status.next_check_time());
  }
  if (!status.has_retry_time()) return;
  if (waits.retry.has_value()) {
    snapshot.retry_at = base::WallAt(clock(), *waits.retry);
  } else if (in_order) {
    snapshot.retry_at = service::FromProto(status.retry_time());
  }
}

OrderPass::AwaitableOutcome OrderPass::Do(Action action) {
  switch (action.step) {
    case Step::kPlace:
      return Place();
    case Step::kReadOrder:
      return ReadOrder();
    case Step::kReadAuthorizations:
      return ReadAuthorizations();
    case Step::kCreateChallenges:
      return CreateChallenges();
    case Step::kFinalize:
      return Finalize();
    case Step::kDownload:
      return Download();
    case Step::kPoll:
      return Poll();
    case Step::kWaitForIssuer:
      return WaitForIssuer(action.wake_at);
    case Step::kFail:
      return FailByCa(action.failed_state);
    case Step::kCleanUp:
      return CleanUp();
    case Step::kWait:
      break;
  }
  return Wait(action.wake_at);
}

OrderPass::AwaitableOutcome OrderPass::Place() {
  absl::StatusOr<acme::NewOrderRequest> request =
      MakeRequest(order().spec(), (*authority_)->spec(), Now());
  if (!request.ok()) {
    co_return co_await Fail(v1::ORDER_STATE_ERRORED, std::string(request.status().message()),
                            Failures());
  }
  // One that is kept alive may have cost the answers that are missing.
  request->fresh_connection = status().unanswered_requests() > 0;
  base::Reach(base::FaultPoint::kOrderPlacing);
  absl::StatusOr<acme::Order> placed =
      co_await (*authority_)->NewOrder(context_, *std::move(request));
  if (!placed.ok()) co_return co_await HandleError(placed.status(), Step::kPlace);
  base::Reach(base::FaultPoint::kOrderPlaced);
  const std::string other = memory_.ClaimUrl(placed->url, key_);
  if (!other.empty()) {
    SetNotReady(
        record_.mutable_order(), "Pending",
        absl::StrCat("The CA has one order for the same names as ",
                     NameFor(order().metadata(), other), ", which has to be finished first"),
        Now());
    CW_CO_RETURN_IF_ERROR(co_await record_.Save());
    co_return WakeAt(Now() + kSharedOrderRetry);
  }
  status().set_url(placed->url);
  *status().mutable_placed_time() = service::ToProto(Now());
  status().clear_unanswered_requests();
  status().clear_failures();
  AdoptOrder(*placed, status());
  SetNotReady(record_.mutable_order(), "Pending", "The order is placed at the CA", Now());
  ca_order_ = *std::move(placed);
  CW_CO_RETURN_IF_ERROR(co_await record_.SaveInAnyCase());
  base::Reach(base::FaultPoint::kOrderRecorded);
  co_return GoOn();
}

OrderPass::AwaitableOutcome OrderPass::ReadOrder() {
  absl::StatusOr<acme::Order> read = co_await (*authority_)->GetOrder(context_, status().url());
  if (!read.ok()) co_return co_await HandleError(read.status(), Step::kReadOrder);
  if (status().authorizations().empty()) {
    // It could not be read when it was placed.
    const absl::Status same = CheckNames(*read, order().spec());
    if (!same.ok()) {
      co_return co_await Fail(v1::ORDER_STATE_ERRORED, std::string(same.message()), Failures());
    }
  }
  AdoptOrder(*read, status());
  ca_order_ = *std::move(read);
  co_return GoOn();
}

OrderPass::AwaitableOutcome OrderPass::ReadAuthorizations() {
  const absl::StatusOr<pki::SubjectAltNames> names = OrderedNames(order().spec());
  if (!names.ok()) {
    co_return co_await Fail(v1::ORDER_STATE_ERRORED, std::string(names.status().message()),
                            Failures());
  }
  std::vector<v1::Authorization*> unread;
  std::vector<runtime::Awaitable<absl::StatusOr<acme::Authorization>>> reads;
  for (v1::Authorization& authorization : *status().mutable_authorizations()) {
    if (!authorization.initial_state().empty()) continue;
    unread.push_back(&authorization);
    reads.push_back((*authority_)->GetAuthorization(context_, authorization.url()));
  }
  const auto results = co_await runtime::WhenAll(std::move(reads));
  absl::Status error;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i].ok()) {
      error.Update(results[i].status());
      continue;
    }
    const absl::Status adopted = AdoptAuthorization(*results[i], *names, *unread[i]);
    if (!adopted.ok()) {
      co_return co_await Fail(v1::ORDER_STATE_ERRORED, std::string(adopted.message()),
                              Failures());
    }
  }
  if (!error.ok()) co_return co_await HandleError(error, Step::kReadAuthorizations);
  status().clear_retry_time();
  status().clear_failures();
  const auto& authorizations = order().status().authorizations();
  if (std::none_of(authorizations.begin(), authorizations.end(), NeedsChallenge)) {
    // Nothing will be made for them, so they can be written together with what comes next.
    co_return GoOn();
  }
  SetNotReady(record_.mutable_order(), "Pending", DescribeToProve(order()), Now());
  CW_CO_RETURN_IF_ERROR(co_await record_.Save());
  co_return GoOn();
}

OrderPass::AwaitableOutcome OrderPass::CreateChallenges() {
  auto planned = PlanChallenges(order(), Pointers(challenges_), (*authority_)->spec().solvers(),
                                (*authority_)->key_thumbprint());
  if (absl::IsNotFound(planned.status())) {
    // Without this name the order is lost, so nothing is shown to the world for the others.
    SetNotReady(record_.mutable_order(), "NoSolver", std::string(planned.status().message()),
                Now());
    CW_CO_RETURN_IF_ERROR(co_await record_.Save());
    co_return WakeAt(status().has_expires() ? service::FromProto(status().expires())
                                            : absl::InfiniteFuture());
  }
  if (!planned.ok()) {
    co_return co_await Fail(v1::ORDER_STATE_ERRORED, std::string(planned.status().message()),
                            Failures());
  }
  std::vector<std::string> urls;
  std::vector<runtime::Awaitable<absl::StatusOr<solver::v1::Challenge>>> creations;
  for (solver::v1::Challenge& challenge : *planned) {
    urls.push_back(challenge.spec().authorization_url());
    creations.push_back(environment_.challenges.Create(context_, std::move(challenge)));
  }
  base::Reach(base::FaultPoint::kOrderChallengesCreating);
  auto results = co_await runtime::WhenAll(std::move(creations));
  base::Reach(base::FaultPoint::kOrderChallengesCreated);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].ok()) {
      created_[urls[i]] = std::make_shared<solver::v1::Challenge>(*std::move(results[i]));
      continue;
    }
    const absl::Status error =
        base::Annotate(results[i].status(), "The solver service did not take a challenge");
    if (rpc::IsRefusal(error)) {
      co_return co_await Fail(v1::ORDER_STATE_ERRORED, std::string(error.message()),
                              Failures());
    }
    // Not a trouble of the CA, to which another CA would be an answer.
    SetNotReady(record_.mutable_order(), "Pending", std::string(error.message()), Now());
    CW_CO_RETURN_IF_ERROR(co_await record_.Save());
    co_return error;
  }
  SetNotReady(record_.mutable_order(), "Pending", DescribeToProve(order()), Now());
  co_return GoOn();
}

OrderPass::AwaitableOutcome OrderPass::Finalize() {
  const absl::StatusOr<pki::Csr> csr = pki::ParseCsrPem(order().spec().request());
  if (!csr.ok()) {
    co_return co_await Fail(v1::ORDER_STATE_ERRORED,
                            absl::StrCat("spec.request: ", csr.status().message()), Failures());
  }
  base::Reach(base::FaultPoint::kOrderFinalizing);
  absl::StatusOr<acme::Order> answer =
      co_await (*authority_)
          ->Finalize(context_, status().url(), status().finalize_url(), csr->der);
  if (!answer.ok()) co_return co_await HandleError(answer.status(), Step::kFinalize);
  base::Reach(base::FaultPoint::kOrderFinalized);
  finalized_ = true;
  // What was waited for before says nothing about how long this takes.
  memory_.SetWaits(key_, OrderMemory::Waits());
  AdoptOrder(*answer, status());
  ca_order_ = *std::move(answer);
  co_return GoOn();
}

OrderPass::AwaitableOutcome OrderPass::Download() {
  const absl::StatusOr<pki::Csr> csr = pki::ParseCsrPem(order().spec().request());
  const absl::StatusOr<pki::SubjectAltNames> names = OrderedNames(order().spec());
  if (!csr.ok() || !names.ok()) {
    co_return co_await Fail(
        v1::ORDER_STATE_ERRORED,
        std::string(csr.ok() ? names.status().message() : csr.status().message()), Failures());
  }
  const std::string& preferred = (*authority_)->spec().preferred_chain();
  CertificateToDownload wanted{status().certificate_url(), csr->public_key, *names, preferred,
                               Now()};
  absl::StatusOr<DownloadedCertificate> certificate =
      co_await DownloadVerified(context_, **authority_, std::move(wanted));
  if (!certificate.ok()) co_return co_await HandleError(certificate.status(), Step::kDownload);
  base::Reach(base::FaultPoint::kOrderDownloaded);
  service::ConditionUpdate ready;
  ready.type = "Ready";
  ready.status = true;
  ready.reason = "Issued";
  ready.message =
      certificate->preferred_found
          ? "The certificate is issued."
          : absl::StrCat("The certificate is issued. The CA does not offer the chain ",
                         preferred, ", so its default one was taken.");
  status().set_state(v1::ORDER_STATE_VALID);
  status().set_certificate(std::move(certificate->pem));
  status().clear_retry_time();
  status().clear_failures();
  status().clear_next_check_time();
  status().set_reason(certificate->preferred_found ? "" : ready.message);
  service::SetCondition(*status().mutable_conditions(), ready, order().metadata().generation(),
                        Now());
  CW_CO_RETURN_IF_ERROR(co_await record_.Save());
  base::Reach(base::FaultPoint::kOrderIssued);
  memory_.Forget(key_);
  if (environment_.on_final) environment_.on_final(order());
  co_return GoOn();
}

OrderPass::AwaitableOutcome OrderPass::Poll() {
  OrderMemory::Waits waits = memory_.waits(key_);
  absl::Duration delay = acme::NextPollDelay(
      waits.polls, ca_order_.has_value() ? ca_order_->retry_at : std::nullopt, Now(),
      environment_.random);
  ++waits.polls;
  if (waits.polls > kManyPolls) delay = std::max(delay, kParkedPoll);
  // A CA that asks for hours gets them, but is asked once more when the order ends.
  if (ca_order_.has_value() && ca_order_->retry_at.has_value()) {
    absl::Time asked = *ca_order_->retry_at;
    if (status().has_expires()) asked = std::min(asked, service::FromProto(status().expires()));
    delay = std::max(delay, asked - Now());
  }
  const bool wait_here = delay <= kShortWait;
  const absl::Time next = wait_here ? absl::InfinitePast() : Now() + delay;
  waits.next_poll = base::MonotonicAt(clock(), next);
  memory_.SetWaits(key_, waits);
  // It is asked again; what it said is old by then.
  if (status().state() == v1::ORDER_STATE_READY) {
    status().set_state(v1::ORDER_STATE_PROCESSING);
  }
  ca_order_.reset();
  if (wait_here) {
    CW_CO_RETURN_IF_ERROR(co_await runtime::SleepFor(environment_.timers, context_, delay));
    co_return GoOn();
  }
  if (delay > kNotedWait) *status().mutable_next_check_time() = service::ToProto(next);
  SetNotReady(record_.mutable_order(), "Pending", "The CA is working on the order", Now());
  CW_CO_RETURN_IF_ERROR(co_await record_.Save());
  co_return WakeAt(next);
}

OrderPass::AwaitableOutcome OrderPass::Wait(absl::Time wake_at) {
  // In its first moments an order says that it has names to prove, which is enough: most are
  // done before anyone could read more. Later events of the challenges come here again.
  const bool proving = order().status().state() == v1::ORDER_STATE_PENDING &&
                       !order().status().has_retry_time() && memory_.waits(key_).polls == 0;
  if (proving && created_.empty()) {
    SetNotReady(record_.mutable_order(), "Pending",
                DescribePending(order(), Pointers(challenges_)), Now());
  }
  CW_CO_RETURN_IF_ERROR(co_await record_.Save());
  co_return WakeAt(wake_at);
}

OrderPass::AwaitableOutcome OrderPass::WaitForIssuer(absl::Time wake_at) {
  const absl::Status& why = authority_.status();
  SetNotReady(record_.mutable_order(),
              absl::IsNotFound(why) ? "IssuerNotFound" : "IssuerNotReady",
              std::string(why.message()), Now());
  CW_CO_RETURN_IF_ERROR(co_await record_.Save());
  // No event tells that the issuer service was reached and does not know the issuer.
  if (absl::IsUnavailable(why)) wake_at = std::min(wake_at, Now() + kIssuerServiceRetry);
  co_return WakeAt(wake_at);
}

OrderPass::AwaitableOutcome OrderPass::HandleError(absl::Status error, Step step) {
  // Being stopped says nothing about the order.
  if (!context_.Check().ok()) co_return error;
  if (step == Step::kPlace && MayHavePlaced(error)) {
    status().set_unanswered_requests(status().unanswered_requests() + 1);
  }
  ErrorAction action = DecideOnError(error, step, status().unanswered_requests(), Now());
  // What the CA has not handed out for as long as the order lasted will not come any more.
  const bool never_comes = step == Step::kDownload && absl::IsNotFound(error) && HasExpired();
  const bool unreadable =
      step == Step::kReadOrder && action.recovery == Recovery::kBackoff && IsUnreadable();
  if (never_comes || unreadable) {
    action.recovery = Recovery::kFail;
    action.failed_state = never_comes ? v1::ORDER_STATE_EXPIRED : v1::ORDER_STATE_ERRORED;
  }
  if (action.recovery == Recovery::kFail) {
    Failures failures;
    const std::optional<acme::Problem> problem = acme::ProblemOf(error);
    if (problem.has_value()) AddProblem(*problem, "", failures);
    // With a clock that is put right the next one may be taken.
    const bool is_unusable =
        step == Step::kDownload && !never_comes && !absl::IsOutOfRange(error);
    if (!problem.has_value() && is_unusable) {
      AddUnusableCertificate(error.message(), failures);
    }
    co_return co_await Fail(action.failed_state, std::string(error.message()),
                            std::move(failures));
  }
  if (action.recovery == Recovery::kReadOrder) {
    if (++refusals_ <= kMaxRefusals) {
      ca_order_.reset();
      co_return GoOn();
    }
    if (acme::ClassOf(error) == acme::ErrorClass::kPermanent) {
      co_return co_await Fail(v1::ORDER_STATE_ERRORED, std::string(error.message()),
                              Failures());
    }
  }
  if (step == Step::kFinalize) {
    // Whether the CA has got the request is to be read from the order.
    status().set_state(v1::ORDER_STATE_READY);
  }
  SetNotReady(record_.mutable_order(), action.reason, std::string(error.message()), Now());
  const bool at_a_time =
      action.recovery == Recovery::kRetryAt || action.recovery == Recovery::kOperator;
  if (action.recovery == Recovery::kRetryAt) {
    OrderMemory::Waits waits = memory_.waits(key_);
    waits.retry = base::MonotonicAt(clock(), action.retry_at);
    memory_.SetWaits(key_, waits);
    *status().mutable_retry_time() = service::ToProto(action.retry_at);
  }
  // Which limit was reached is for the issuer service to know too.
  status().clear_failures();
  const std::optional<acme::Problem> problem = acme::ProblemOf(error);
  if (action.reason == "RateLimited" && problem.has_value()) {
    AddProblem(*problem, "", *status().mutable_failures());
  }
  CW_CO_RETURN_IF_ERROR(co_await record_.Save());
  if (!at_a_time) co_return error;
  co_return WakeAt(action.retry_at);
}

OrderPass::AwaitableOutcome OrderPass::FailByCa(v1::OrderState state) {
  std::vector<acme::Authorization> authorizations;
  if (authority_.ok()) {
    authorizations = co_await ReadUnproven(context_.Within(kTidyTimeout), **authority_, order(),
                                           Pointers(challenges_));
  }
  Failures failures = CollectFailures(order(), ca_order_.has_value() ? &*ca_order_ : nullptr,
                                      authorizations, Pointers(challenges_));
  std::string sentence;
  if (failures.empty() && state == v1::ORDER_STATE_EXPIRED) {
    sentence = DescribeExpired(order(), Pointers(challenges_));
  }
  co_return co_await Fail(state, std::move(sentence), std::move(failures));
}

OrderPass::AwaitableOutcome OrderPass::Fail(v1::OrderState state, std::string sentence,
                                            Failures failures) {
  if (authority_.ok()) {
    co_await DeactivatePending(context_.Within(kTidyTimeout), **authority_, order(),
                               Pointers(challenges_));
  }
  co_await DeleteOpenChallenges(context_.Within(kTidyTimeout), environment_.challenges, order(),
                                Pointers(challenges_));
  SetFailed(record_.mutable_order(), state, std::move(sentence), std::move(failures), Now());
  CW_CO_RETURN_IF_ERROR(co_await record_.Save());
  memory_.Forget(key_);
  if (environment_.on_final) environment_.on_final(order());
  co_return GoOn();
}

OrderPass::AwaitableOutcome OrderPass::CleanUp() {
  CW_CO_RETURN_IF_ERROR(
      co_await DeleteAllChallenges(context_, environment_.challenges, order()));
  if (authority_.ok() && !IsFinal(order().status().state())) {
    co_await DeactivatePending(context_.Within(kTidyTimeout), **authority_, order(),
                               Pointers(challenges_));
  }
  base::Reach(base::FaultPoint::kOrderChallengesDeleted);
  CW_CO_RETURN_IF_ERROR(co_await record_.Delete());
  memory_.Forget(key_);
  co_return controller::Result();
}

bool OrderPass::HasExpired() const {
  return order().status().has_expires() &&
         Now() >= service::FromProto(order().status().expires());
}

bool OrderPass::IsUnreadable() const {
  return order().status().finalize_url().empty() &&
         Now() >= service::FromProto(order().status().placed_time()) + kUnreadOrderLimit;
}

controller::Result OrderPass::WakeAt(absl::Time when) const {
  controller::Result result;
  if (when != absl::InfiniteFuture()) {
    result.requeue_after = std::max(when - Now(), absl::ZeroDuration());
  }
  return result;
}

}  // namespace certwright::order
