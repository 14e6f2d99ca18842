// Runs one fuzz target without libFuzzer: over the files that are its arguments, so that what
// once was found stays mended in every build, and then for two seconds over changes of them.
// The changes are the same ones in every run, so what one run finds the next one finds as well.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

constexpr auto kTime = std::chrono::seconds(2);
constexpr std::size_t kLongest = 64 << 10;

// What is being tried; a signal handler writes it down.
Bytes& current() {
  static Bytes& bytes = *new Bytes;
  return bytes;
}

// Where whoever looks for the cause finds the input: below the test's outputs, else in /tmp.
std::string& finding_path() {
  static std::string& path = *new std::string("/tmp/fuzz_finding");
  return path;
}

void WriteFinding(int signal) {
  if (FILE* file = std::fopen(finding_path().c_str(), "wb"); file != nullptr) {
    std::fwrite(current().data(), 1, current().size(), file);
    std::fclose(file);
  }
  std::fprintf(stderr, "the input is in %s\n", finding_path().c_str());
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void Try(Bytes input) {
  current() = std::move(input);
  LLVMFuzzerTestOneInput(current().data(), current().size());
}

class Mutator {
 public:
  explicit Mutator(const std::vector<Bytes>& seeds) : seeds_(seeds) {}

  Bytes Next() {
    Bytes bytes = seeds_[Below(seeds_.size())];
    for (std::size_t changes = 1 + Below(4); changes > 0; --changes) Change(bytes);
    if (bytes.size() > kLongest) bytes.resize(kLongest);
    return bytes;
  }

 private:
  // From 0 to `bound` - 1.
  std::size_t Below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void Change(Bytes& bytes) {
    const std::size_t at = Below(bytes.size() + 1);
    const std::size_t length = Below(std::min<std::size_t>(bytes.size() - at, 64) + 1);
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = begin + static_cast<std::ptrdiff_t>(length);
    switch (Below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<uint8_t>(bytes[at] ^ (1U << Below(8)));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = Odd();
        break;
      case 2:
        bytes.erase(begin, end);
        break;
      case 3: {
        const Bytes again(begin, end);
        bytes.insert(begin, again.begin(), again.end());
        break;
      }
      case 4:
        bytes.insert(begin, Odd());
        break;
      default:
        Splice(bytes, at);
        break;
    }
  }

  // The end of another seed instead of its own.
  void Splice(Bytes& bytes, std::size_t at) {
    const Bytes& other = seeds_[Below(seeds_.size())];
    bytes.resize(at);
    const auto from = other.begin() + static_cast<std::ptrdiff_t>(Below(other.size() + 1));
    bytes.insert(bytes.end(), from, other.end());
  }

  // An octet at which parsers turn, or any.
  uint8_t Odd() {
    static constexpr char kOdd[] =
        "\0\xff\x7f\x80\xc0\n\r \t\"'\\{}[]<>,.:;=%*-+/_0123456789eE";
    if (Below(2) == 0) return static_cast<uint8_t>(random_());
    return static_cast<uint8_t>(kOdd[Below(sizeof(kOdd) - 1)]);
  }

  const std::vector<Bytes>& seeds_;
  std::mt19937_64 random_{20260102};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FILE...\n", argv[0]);
    return 2;
  }
  if (const char* folder = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR"); folder != nullptr) {
    finding_path() = std::string(folder) + "/fuzz_finding";
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL}) {
    ::signal(signal, WriteFinding);
  }
  std::vector<Bytes> seeds;
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", argv[i]);
      return 1;
    }
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    std::fprintf(stderr, "%s: %zu bytes\n", argv[i], seeds.back().size());
    Try(seeds.back());
  }
  Mutator mutator(seeds);
  int64_t tried = 0;
  const auto end = std::chrono::steady_clock::now() + kTime;
  while (std::chrono::steady_clock::now() < end) {
    Try(mutator.Next());
    ++tried;
  }
  std::fprintf(stderr, "%lld changes of them\n", static_cast<long long>(tried));
  return 0;
}
