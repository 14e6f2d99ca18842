"""cc_fuzz_target: a libFuzzer program, and a test of its seeds."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_test")

def cc_fuzz_target(name, deps, **kwargs):
    """Builds <name>.cc, which has a CW_FUZZ_TARGET, with the seeds in <name>_corpus/.

    The target <name> is the fuzzer: it needs --config=fuzz, and tools/fuzz.sh runs it. The
    target <name>_test runs the seeds in whatever build it is part of.

    Args:
      name: ends in "_fuzz".
      deps: what <name>.cc uses, but for //lib/base:fuzz.
      **kwargs: handed to both.
    """
    deps = deps + ["//lib/base:fuzz"]
    cc_binary(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["fuzz", "manual"],
        deps = deps,
        **kwargs
    )
    native.filegroup(
        name = name + "_corpus",
        srcs = native.glob([name + "_corpus/**"], allow_empty = False),
    )
    cc_test(
        name = name + "_test",
        size = "small",
        srcs = [name + ".cc"],
        args = ["$(rootpaths :%s_corpus)" % name],
        data = [":%s_corpus" % name],
        deps = deps + ["//lib/base:fuzz_main"],
        **kwargs
    )
