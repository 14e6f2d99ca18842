#include "services/solver/dns01_provider.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"

namespace certwright::solver {
namespace {

constexpr absl::string_view kNothingChangedPayload = "certwright/nothing-changed";

}  // namespace

absl::Status MarkNothingChanged(absl::Status error) {
  error.SetPayload(kNothingChangedPayload, absl::Cord("1"));
  return error;
}

bool NothingChanged(const absl::Status& error) {
  return error.GetPayload(kNothingChangedPayload).has_value();
}

std::string ProviderName(const issuer::v1::Dns01Solver& solver) {
  const google::protobuf::OneofDescriptor* providers =
      solver.GetDescriptor()->FindOneofByName("provider");
  const google::protobuf::FieldDescriptor* field =
      solver.GetReflection()->GetOneofFieldDescriptor(solver, providers);
  return field == nullptr ? "none" : field->json_name();
}

absl::Status UnsupportedProvider(const issuer::v1::Dns01Solver& solver) {
  return absl::UnimplementedError(absl::StrCat(
      "provider ", ProviderName(solver), " is not supported by this version; use rfc2136"));
}

}  // namespace certwright::solver
