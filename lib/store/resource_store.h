// ResourceStore: the resources of one kind in a Store, as protobuf messages with
// `metadata` (certwright.meta.v1.ObjectMeta), and usually `spec` and `status`.
//
// metadata.resource_version is the revision of the record: it is filled in when read and
// never stored. "Spec" below means everything but metadata and status, so that kinds without
// these two fields (Secret) work the same way.
//
// Errors are those of Store, and DATA_LOSS, naming the key, for a record that cannot be
// decoded. Threading: safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "lib/base/secret.h"
#include "lib/base/status_macros.h"
#include "lib/store/resource_key.h"
#include "lib/store/store.h"

namespace certwright::store {

// Changes values on their way to and from the store: how Secrets are sealed (sealing_codec.h).
// `key` is the record's, so that a sealed value cannot be moved to another key.
class ValueCodec {
 public:
  virtual ~ValueCodec() = default;
  virtual absl::StatusOr<std::string> Seal(absl::string_view key,
                                           absl::string_view value) const = 0;
  virtual absl::StatusOr<base::Secret> Open(absl::string_view key,
                                            absl::string_view stored) const = 0;
};

// A page of a list ends with the resource that makes it so large.
inline constexpr std::size_t kMaxPageBytes = 1024 * 1024;

template <typename T>
class ResourceStore {
 public:
  struct ListOptions {
    std::string resource_namespace = {};  // empty = all
    // 0 = everything in one page; else a page also ends with the resource that makes it
    // kMaxPageBytes.
    int64_t page_size = 0;
    std::string page_token = {};                 // empty = the first page
    std::function<bool(const T&)> matches = {};  // empty = every resource does
  };
  struct Page {
    std::vector<T> resources;      // in the order of namespace and name
    std::string next_page_token;   // empty on the last page
    std::string resource_version;  // to watch from; the same on all pages
  };

  // The arguments must outlive this. `kind` is the plural, lower case: "certificates".
  ResourceStore(Store& store, std::string kind, const base::Clock& clock, base::Random& random,
                const ValueCodec* codec = nullptr)
      : store_(store), kind_(std::move(kind)), clock_(clock), random_(random), codec_(codec) {}

  Store& store() const { return store_; }
  const std::string& kind() const { return kind_; }
  // What the keys of these resources, or those of one namespace, begin with.
  std::string Prefix() const { return absl::StrCat(kind_, "/"); }
  std::string Prefix(absl::string_view resource_namespace) const {
    return absl::StrCat(kind_, "/", resource_namespace, "/");
  }

  // Sets uid, generation and create_time. ALREADY_EXISTS if there is one of that name.
  runtime::Awaitable<absl::StatusOr<T>> Create(runtime::Context context, T resource,
                                               Writer writer = Writer::kService) {
    CW_CO_ASSIGN_OR_RETURN(Mutation mutation, CreateMutation(resource));
    mutation.writer = writer;
    CW_CO_RETURN_IF_ERROR(co_await Write(context, std::move(mutation), resource));
    co_return resource;
  }

  runtime::Awaitable<absl::StatusOr<T>> Get(runtime::Context context,
                                            std::string resource_namespace, std::string name) {
    CW_CO_RETURN_IF_ERROR(CheckResourceName(resource_namespace, name));
    CW_CO_ASSIGN_OR_RETURN(
        Record record,
        co_await store_.Get(context, RecordKey(kind_, resource_namespace, name)));
    co_return Decode(record);
  }

  // OUT_OF_RANGE if the page token is too old: list from the start again.
  runtime::Awaitable<absl::StatusOr<Page>> List(runtime::Context context, ListOptions options) {
    ListRequest request;
    request.prefix =
        options.resource_namespace.empty() ? Prefix() : Prefix(options.resource_namespace);
    if (!options.page_token.empty()) {
      CW_CO_ASSIGN_OR_RETURN(ListPosition position,
                             DecodePageToken(options.page_token, request.prefix));
      request.start_after = position.last_key;
      request.at_revision = position.revision;
    }
    const std::size_t page_size = static_cast<std::size_t>(options.page_size);
    std::size_t page_bytes = 0;
    Page page;
    while (true) {
      request.limit = kListChunk;
      CW_CO_ASSIGN_OR_RETURN(ListResult result, co_await store_.List(context, request));
      request.at_revision = result.revision;
      for (std::size_t i = 0; i < result.records.size(); ++i) {
        CW_CO_ASSIGN_OR_RETURN(T resource, Decode(result.records[i]));
        request.start_after = result.records[i].key;
        if (options.matches && !options.matches(resource)) continue;
        page.resources.push_back(std::move(resource));
        page_bytes += SizeOf(result.records[i]);
        if (page_size == 0) continue;
        if (page.resources.size() < page_size && page_bytes < kMaxPageBytes) continue;
        if (result.more || i + 1 < result.records.size()) {
          page.next_page_token = EncodePageToken({result.revision, request.start_after});
        }
        result.more = false;
        break;
      }
      if (!result.more) break;
      co_await runtime::Yield();
    }
    page.resource_version = absl::StrCat(request.at_revision);
    co_return page;
  }

  // Stores the spec, labels, annotations and owner of `resource`; the rest, status included,
  // stays as stored. With a resource_version, ABORTED unless it is the stored one. A changed
  // spec gets the next generation; if nothing changed, nothing is written.
  runtime::Awaitable<absl::StatusOr<T>> Update(runtime::Context context, T resource,
                                               Writer writer = Writer::kService) {
    return Modify(std::move(context), std::move(resource), &ResourceStore::UpdateMutation,
                  writer);
  }

  // Stores the status of `resource` and nothing else of it, likewise.
  runtime::Awaitable<absl::StatusOr<T>> UpdateStatus(runtime::Context context, T resource) {
    return Modify(std::move(context), std::move(resource), &ResourceStore::StatusMutation);
  }

  // Sets delete_time, unless it is set, for resources that need cleaning up after before
  // they can be deleted.
  runtime::Awaitable<absl::StatusOr<T>> MarkDeleted(runtime::Context context,
                                                    std::string resource_namespace,
                                                    std::string name) {
    T resource;
    resource.mutable_metadata()->set_namespace_(std::move(resource_namespace));
    resource.mutable_metadata()->set_name(std::move(name));
    return Modify(std::move(context), std::move(resource), &ResourceStore::MarkMutation);
  }

  // With a resource version, ABORTED unless it is the stored one.
  runtime::Awaitable<absl::Status> Delete(runtime::Context context,
                                          std::string resource_namespace, std::string name,
                                          std::string resource_version = "") {
    CW_CO_RETURN_IF_ERROR(CheckResourceName(resource_namespace, name));
    std::optional<int64_t> expected;
    if (!resource_version.empty()) {
      CW_CO_ASSIGN_OR_RETURN(expected, ParseResourceVersion(resource_version));
    }
    const auto revision =
        co_await store_.Delete(context, RecordKey(kind_, resource_namespace, name), expected);
    co_return revision.status();
  }

  // The same as mutations, so that resources of several kinds can be committed together.
  // Each makes `resource` what will be stored; after the commit, SetRevision() completes it.

  absl::StatusOr<Mutation> CreateMutation(T& resource) const {
    auto& metadata = *resource.mutable_metadata();
    CW_RETURN_IF_ERROR(CheckResourceName(metadata.namespace_(), metadata.name()));
    metadata.set_uid(random_.Uuid());
    metadata.set_generation(1);
    SetNow(*metadata.mutable_create_time());
    metadata.clear_delete_time();
    return PutMutation(resource, 0);
  }

  // `current` is the resource as read; nothing is returned if nothing would change.
  absl::StatusOr<std::optional<Mutation>> UpdateMutation(const T& current, T& resource) const {
    auto metadata = current.metadata();
    *metadata.mutable_labels() = resource.metadata().labels();
    *metadata.mutable_annotations() = resource.metadata().annotations();
    metadata.clear_owner();
    if (resource.metadata().has_owner()) {
      *metadata.mutable_owner() = resource.metadata().owner();
    }
    if constexpr (kHasStatus) CopyStatus(current, resource);
    *resource.mutable_metadata() = current.metadata();
    if (!Equal(current, resource)) {
      metadata.set_generation(metadata.generation() + 1);
    }
    *resource.mutable_metadata() = std::move(metadata);
    return ChangeMutation(current, resource);
  }

  absl::StatusOr<std::optional<Mutation>> StatusMutation(const T& current, T& resource) const {
    static_assert(kHasStatus, "this kind has no status");
    T changed = current;
    CopyStatus(resource, changed);
    resource = std::move(changed);
    return ChangeMutation(current, resource);
  }

  // Sets delete_time, unless it is set.
  absl::StatusOr<std::optional<Mutation>> MarkMutation(const T& current, T& resource) const {
    resource = current;
    if (!current.metadata().has_delete_time()) {
      SetNow(*resource.mutable_metadata()->mutable_delete_time());
    }
    return ChangeMutation(current, resource);
  }

  Mutation DeleteMutation(const T& current) const {
    const auto& metadata = current.metadata();
    return Mutation::Delete(RecordKey(kind_, metadata.namespace_(), metadata.name()),
                            Revision(current));
  }

  static void SetRevision(T& resource, int64_t revision) {
    resource.mutable_metadata()->set_resource_version(absl::StrCat(revision));
  }

  absl::StatusOr<T> Decode(const Record& record) const {
    T resource;
    if (codec_ != nullptr) {
      const absl::StatusOr<base::Secret> value = codec_->Open(record.key, record.value);
      if (!value.ok()) return base::Annotate(value.status(), record.key);
      const absl::string_view bytes = value->Reveal();
      if (!resource.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return DecodeError(record.key);
      }
    } else if (!resource.ParseFromString(record.value)) {
      return DecodeError(record.key);
    }
    SetRevision(resource, record.mod_revision);
    return resource;
  }

 private:
  using Modification = absl::StatusOr<std::optional<Mutation>> (ResourceStore::*)(const T&,
                                                                                  T&) const;

  // Messages, that is memory, per read of the store.
  static constexpr int64_t kListChunk = 500;
  // A change without a resource_version that meets others is tried so often.
  static constexpr int kMaxTries = 5;
  static constexpr bool kHasStatus = requires(T resource) { resource.mutable_status(); };

  // An absent status is copied as such: it is not equal to an empty one.
  static void CopyStatus(const T& from, T& to) {
    if (from.has_status()) {
      *to.mutable_status() = from.status();
    } else {
      to.clear_status();
    }
  }

  // Equal resources give equal bytes, whatever the order of their maps in memory.
  static std::string Serialize(const T& resource) {
    // Of its full size at once: a growing string would leave parts of a secret behind.
    std::string bytes(resource.ByteSizeLong(), '\0');
    google::protobuf::io::ArrayOutputStream stream(bytes.data(),
                                                   static_cast<int>(bytes.size()));
    google::protobuf::io::CodedOutputStream output(&stream);
    output.SetSerializationDeterministic(true);
    resource.SerializeToCodedStream(&output);
    return bytes;
  }

  static bool Equal(const T& a, const T& b) {
    return base::Secret(Serialize(a)).Reveal() == base::Secret(Serialize(b)).Reveal();
  }

  static absl::Status DecodeError(const std::string& key) {
    return absl::DataLossError(absl::StrCat(
        key,
        ": the stored record is damaged; restore the store from a backup, or delete "
        "the resource and create it again"));
  }

  static int64_t Revision(const T& resource) {
    int64_t revision = 0;
    // One that is not a number, which no read returns, matches no stored revision.
    if (!absl::SimpleAtoi(resource.metadata().resource_version(), &revision)) return -1;
    return revision;
  }

  template <typename Timestamp>
  void SetNow(Timestamp& timestamp) const {
    const int64_t nanos = absl::ToUnixNanos(clock_.Now());
    timestamp.set_seconds(nanos / 1'000'000'000);
    timestamp.set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  }

  absl::StatusOr<Mutation> PutMutation(T& resource, int64_t expected_revision) const {
    auto& metadata = *resource.mutable_metadata();
    std::string key = RecordKey(kind_, metadata.namespace_(), metadata.name());
    const std::string version = metadata.resource_version();
    metadata.clear_resource_version();
    std::string value = Serialize(resource);
    metadata.set_resource_version(version);
    if (codec_ != nullptr) {
      absl::StatusOr<std::string> sealed = codec_->Seal(key, value);
      base::Wipe(value);
      if (!sealed.ok()) return base::Annotate(sealed.status(), key);
      value = *std::move(sealed);
    }
    return Mutation::Put(std::move(key), std::move(value), expected_revision);
  }

  absl::StatusOr<std::optional<Mutation>> ChangeMutation(const T& current, T& resource) const {
    if (Equal(current, resource)) return std::optional<Mutation>();
    CW_ASSIGN_OR_RETURN(Mutation mutation, PutMutation(resource, Revision(current)));
    return std::optional<Mutation>(std::move(mutation));
  }

  runtime::Awaitable<absl::Status> Write(runtime::Context context, Mutation mutation,
                                         T& resource) {
    std::vector<Mutation> mutations;
    mutations.push_back(std::move(mutation));
    CW_CO_ASSIGN_OR_RETURN(const int64_t revision,
                           co_await store_.Commit(context, std::move(mutations)));
    SetRevision(resource, revision);
    co_return absl::OkStatus();
  }

  // Reads the stored resource, applies `modification` and writes the result if it differs.
  runtime::Awaitable<absl::StatusOr<T>> Modify(runtime::Context context, T resource,
                                               Modification modification,
                                               Writer writer = Writer::kService) {
    const std::string resource_namespace = resource.metadata().namespace_();
    const std::string name = resource.metadata().name();
    const std::string expected = resource.metadata().resource_version();
    for (int tries = 1;; ++tries) {
      CW_CO_ASSIGN_OR_RETURN(const T current, co_await Get(context, resource_namespace, name));
      if (!expected.empty() && expected != current.metadata().resource_version()) {
        co_return absl::AbortedError(absl::StrCat(
            RecordKey(kind_, resource_namespace, name), ": has been changed: its version is ",
            current.metadata().resource_version(), ", not the given one; read it again"));
      }
      T changed = resource;
      CW_CO_ASSIGN_OR_RETURN(std::optional<Mutation> mutation,
                             (this->*modification)(current, changed));
      if (!mutation.has_value()) co_return current;
      mutation->writer = writer;
      const absl::Status written = co_await Write(context, *std::move(mutation), changed);
      if (written.ok()) co_return changed;
      const bool raced = absl::IsAborted(written) && expected.empty() && tries < kMaxTries;
      if (!raced) co_return written;
    }
  }

  Store& store_;
  const std::string kind_;
  const base::Clock& clock_;
  base::Random& random_;
  const ValueCodec* const codec_;
};

}  // namespace certwright::store
