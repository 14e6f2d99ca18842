#include "services/order/order_record.h"

#include <optional>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "services/order/order_report.h"

namespace certwright::order {
namespace {

constexpr absl::Duration kSaveTimeout = absl::Seconds(10);

}  // namespace

runtime::Context OrderRecord::SaveContext() const {
  return runtime::Context::WithTimeout(clock_, kSaveTimeout);
}

runtime::Awaitable<absl::Status> OrderRecord::Save() {
  v1::Order changed = order_;
  CW_CO_ASSIGN_OR_RETURN(std::optional<store::Mutation> mutation,
                         store_.StatusMutation(stored_, changed));
  if (!mutation.has_value()) co_return absl::OkStatus();
  std::vector<store::Mutation> mutations;
  mutations.push_back(*std::move(mutation));
  const absl::StatusOr<int64_t> revision =
      co_await store_.store().Commit(SaveContext(), std::move(mutations));
  if (absl::IsInvalidArgument(revision.status())) co_return co_await GiveUp(revision.status());
  CW_CO_RETURN_IF_ERROR(revision.status());
  OrderStore::SetRevision(changed, *revision);
  order_ = changed;
  stored_ = std::move(changed);
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::Status> OrderRecord::GiveUp(absl::Status refused) {
  v1::Order failed = stored_;
  SetFailed(failed, v1::ORDER_STATE_ERRORED,
            "What the CA says about this order is too much to be kept.", {}, clock_.Now());
  CW_CO_ASSIGN_OR_RETURN(stored_, co_await store_.UpdateStatus(SaveContext(), failed));
  order_ = stored_;
  co_return refused;
}

runtime::Awaitable<absl::Status> OrderRecord::SaveInAnyCase() {
  absl::Status saved = co_await Save();
  if (!absl::IsAborted(saved)) co_return saved;
  // Only reconcilers write the status, so it can be laid over what others have changed.
  v1::Order again = order_;
  again.mutable_metadata()->clear_resource_version();
  CW_CO_ASSIGN_OR_RETURN(stored_, co_await store_.UpdateStatus(SaveContext(), again));
  order_ = stored_;
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::Status> OrderRecord::Delete() {
  const auto& metadata = stored_.metadata();
  absl::Status deleted = co_await store_.Delete(SaveContext(), metadata.namespace_(),
                                                metadata.name(), metadata.resource_version());
  if (absl::IsNotFound(deleted)) co_return absl::OkStatus();
  co_return deleted;
}

}  // namespace certwright::order
