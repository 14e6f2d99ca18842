#include "services/solver/presentation_service.h"

#include <string>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/rpc/validation.h"
#include "lib/store/resource_key.h"

namespace certwright::solver {
namespace {

std::string RecordKeyOf(const ledger::Presentation& record) {
  return store::QueueKey(record.metadata().namespace_(), record.metadata().name());
}

v1::Presentation ToApi(const ledger::Presentation& record, std::string clean_up_error) {
  v1::Presentation presentation;
  presentation.set_namespace_(record.metadata().namespace_());
  presentation.set_challenge_name(record.challenge_name());
  presentation.set_challenge_uid(record.challenge_uid());
  presentation.set_type(record.type());
  *presentation.mutable_issuer_ref() = record.issuer_ref();
  presentation.set_solver_name(record.solver_name());
  presentation.set_record_name(record.record_name());
  presentation.set_zone(record.zone());
  presentation.set_value(record.value());
  presentation.set_token(record.token());
  *presentation.mutable_presented_time() = record.metadata().create_time();
  presentation.set_clean_up_error(std::move(clean_up_error));
  return presentation;
}

}  // namespace

runtime::Awaitable<absl::StatusOr<v1::ListPresentationsResponse>> PresentationService::List(
    rpc::CallContext call, v1::ListPresentationsRequest request) {
  PresentationStore::ListOptions list;
  CW_CO_ASSIGN_OR_RETURN(list.page_size, rpc::PageSize(request.page_size()));
  list.resource_namespace = request.namespace_();
  list.page_token = request.page_token();
  if (request.left_behind()) {
    list.matches = [this](const ledger::Presentation& record) {
      return !failures_.ErrorOf(RecordKeyOf(record)).empty();
    };
  }
  const rpc::CallEnvironment& calls = environment();
  const rpc::ReadTurns::Turn turn = co_await calls.read_turns->Take(call.caller);
  if (calls.call_rate != nullptr) {
    CW_CO_RETURN_IF_ERROR(calls.call_rate->CheckOwed(call.caller));
  }
  CW_CO_ASSIGN_OR_RETURN(PresentationStore::Page page,
                         co_await presentations_.List(call.context, std::move(list)));
  v1::ListPresentationsResponse response;
  for (const ledger::Presentation& record : page.resources) {
    *response.add_presentations() = ToApi(record, failures_.ErrorOf(RecordKeyOf(record)));
  }
  response.set_next_page_token(std::move(page.next_page_token));
  co_return response;
}

void PresentationService::AddMethods() {
  Unary<v1::ListPresentationsRequest>([this](rpc::CallContext call, const auto& request) {
    return List(std::move(call), request);
  });
}

}  // namespace certwright::solver
