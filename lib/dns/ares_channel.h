// AresChannel: one c-ares channel to one server, driven by an Asio strand.
//
// c-ares has no threads and no locks, so everything here, callbacks included, runs on the
// strand; a channel with queries in flight keeps itself alive until they end, or until the
// event loop is destroyed, which drops them. Sockets belong to c-ares: Asio only watches them,
// and lets go of them just before c-ares closes them.
#pragma once

#include <ares.h>
#include <sys/socket.h>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "boost/asio/posix/stream_descriptor.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/strand.hpp"
#include "lib/dns/pending_result.h"
#include "lib/dns/send_window.h"
#include "lib/dns/server_address.h"
#include "lib/runtime/awaitable.h"

namespace certwright::dns {

using AresStrand = boost::asio::strand<runtime::Executor>;

// The servers of the system's resolv.conf, or of the file `resolv_conf` if that is not empty.
absl::StatusOr<std::vector<ServerAddress>> ReadSystemServers(const std::string& resolv_conf);

class AresChannel : public std::enable_shared_from_this<AresChannel> {
 public:
  // A packet, or UNAVAILABLE with what happened instead, or CANCELLED by Close().
  using Reply = PendingResult<absl::StatusOr<std::string>>;

  // With `edns` packets to send end in an OPT record, which c-ares cuts off and sends the
  // rest again when a server answers FORMERR, also by a header alone; without it they have
  // none.
  static absl::StatusOr<std::shared_ptr<AresChannel>> Create(AresStrand strand,
                                                             const ServerAddress& server,
                                                             absl::Duration timeout,
                                                             int attempts, bool edns);
  ~AresChannel();
  AresChannel(const AresChannel&) = delete;
  AresChannel& operator=(const AresChannel&) = delete;

  // Sends `packet`, a whole query, with an unpredictable id in place of its own, at once or
  // when there is room for it (see SendWindow); not at all if by then nobody waits for it.
  void Send(std::string packet, std::shared_ptr<Reply> reply);

  bool idle() const { return window_.empty() && waiting_.empty(); }
  // True after a failure that c-ares remembers in ways that a new channel does not.
  bool worn_out() const { return worn_out_; }

  // Ends all queries with CANCELLED.
  void Close();
  // Close() once the last query has ended.
  void CloseWhenIdle();

 private:
  struct InFlight;
  struct Socket;
  // Whoever waits keeps the reply alive by its deadline. A channel that did so too would keep
  // alive, through the waiting coroutine, the loop that owns the channel.
  struct Waiting {
    std::string packet;
    std::weak_ptr<Reply> reply;
  };

  AresChannel(AresStrand strand, absl::Duration timeout, bool edns);

  static void OnReply(void* argument, int status, int timeouts, unsigned char* packet,
                      int length);
  static void OnSocketState(void* argument, int fd, int readable, int writable);
  static ares_ssize_t OnReceive(int fd, void* data, std::size_t size, int flags, sockaddr* from,
                                ares_socklen_t* from_length, void* channel);

  // Puts the question back into an error that came without it; the new length.
  std::size_t RestoreQuestion(char* packet, std::size_t length, std::size_t capacity) const;

  void Finish(std::unique_ptr<InFlight> query, int status, absl::string_view packet);
  void SendWaiting();
  absl::Status SendNow(Waiting next);
  void WaitFor(const std::shared_ptr<Socket>& socket);
  void OnReady(const std::shared_ptr<Socket>& socket, bool write);
  void Process(int read_fd, int write_fd);
  void ArmTimer(std::chrono::steady_clock::duration delay);
  void OnTimer();

  AresStrand strand_;
  const std::chrono::steady_clock::duration timeout_;
  const bool edns_;
  ares_channel channel_ = nullptr;
  std::map<int, std::shared_ptr<Socket>> sockets_;
  boost::asio::steady_timer timer_;
  bool timer_armed_ = false;
  SendWindow window_;
  // What was asked, in wire form, by the ids of the queries in flight.
  std::unordered_map<uint16_t, std::string> questions_;
  std::deque<Waiting> waiting_;
  boost::asio::steady_timer window_timer_;
  bool worn_out_ = false;
  bool close_when_idle_ = false;
  // Set by the destructor: replies are dropped, since who waits for them is gone, too.
  bool dropping_ = false;
};

}  // namespace certwright::dns
