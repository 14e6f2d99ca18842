#include "lib/http/connection_shares.h"

namespace certwright::http {
namespace {

constexpr std::size_t kNetworkOctets = 8;

template <typename Bytes>
std::string Octets(const Bytes& bytes, std::size_t count) {
  return std::string(bytes.begin(), bytes.begin() + count);
}

}  // namespace

std::string ClientAt(const boost::asio::ip::address& address) {
  if (address.is_v4()) return Octets(address.to_v4().to_bytes(), 4);
  const boost::asio::ip::address_v6 v6 = address.to_v6();
  if (!v6.is_v4_mapped()) return Octets(v6.to_bytes(), kNetworkOctets);
  return Octets(boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6).to_bytes(), 4);
}

ConnectionShares::Admission ConnectionShares::Admit(const std::string& client) {
  Admission admission;
  const auto known = shares_.find(client);
  const bool has_its_share = known != shares_.end() && known->second.size() >= max_per_client_;
  if (has_its_share || connections_.size() >= max_total_) {
    admission.closed = (has_its_share ? known->second : by_age_).begin()->second;
    Remove(*admission.closed);
  }
  admission.admitted = ++last_number_;
  Connection connection;
  connection.share = shares_.try_emplace(client).first;
  connection.touched = admission.admitted;
  connection.share->second.emplace(connection.touched, admission.admitted);
  by_age_.emplace(connection.touched, admission.admitted);
  connections_.emplace(admission.admitted, connection);
  return admission;
}

void ConnectionShares::Touch(Id id) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;
  const uint64_t now = ++last_number_;
  for (ByAge* ages : {&by_age_, &it->second.share->second}) {
    ages->erase(it->second.touched);
    ages->emplace(now, id);
  }
  it->second.touched = now;
}

void ConnectionShares::Remove(Id id) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;
  const auto share = it->second.share;
  by_age_.erase(it->second.touched);
  share->second.erase(it->second.touched);
  if (share->second.empty()) shares_.erase(share);
  connections_.erase(it);
}

}  // namespace certwright::http
