"""cc_grpc_library: C++ stubs and service classes for the services of one proto_library."""

def _import_path(source, root):
    return source.path[len(root) + 1:] if source.path.startswith(root + "/") else source.short_path

def _generate_impl(ctx):
    info = ctx.attr.proto[ProtoInfo]
    folder = ctx.label.name
    outputs = []
    for source in info.direct_sources:
        stem = _import_path(source, info.proto_source_root)[:-len(".proto")]
        for suffix in (".grpc.pb.h", ".grpc.pb.cc"):
            outputs.append(ctx.actions.declare_file(folder + "/" + stem + suffix))
    args = ctx.actions.args()
    args.add(ctx.executable._plugin, format = "--plugin=protoc-gen-grpc=%s")
    args.add("/".join([ctx.genfiles_dir.path, ctx.label.package, folder]), format = "--grpc_out=%s")
    args.add_all(info.transitive_proto_path, format_each = "--proto_path=%s")
    args.add_all(info.direct_sources)
    ctx.actions.run(
        executable = ctx.executable._protoc,
        arguments = [args],
        inputs = info.transitive_sources,
        tools = [ctx.executable._plugin],
        outputs = outputs,
        mnemonic = "GrpcGenerate",
        progress_message = "Generating gRPC code for %s" % ctx.label,
    )
    return [DefaultInfo(files = depset(outputs))]

_generate = rule(
    implementation = _generate_impl,
    output_to_genfiles = True,
    attrs = {
        "proto": attr.label(providers = [ProtoInfo], mandatory = True),
        "_protoc": attr.label(
            default = "@com_google_protobuf//:protoc",
            executable = True,
            cfg = "host",
        ),
        "_plugin": attr.label(
            default = "@com_github_grpc_grpc_plugin//:grpc_cpp_plugin",
            executable = True,
            cfg = "host",
        ),
    },
)

def cc_grpc_library(name, proto, deps, **kwargs):
    """A cc_library of the *.grpc.pb.{h,cc} files of `proto`.

    Args:
      name: the target's name.
      proto: the proto_library that holds the services; its import paths are kept.
      deps: the cc_proto_library of `proto` and of what its messages use.
      **kwargs: handed to cc_library.
    """
    _generate(name = name + "_generate", proto = proto)
    native.cc_library(
        name = name,
        srcs = [":" + name + "_generate"],
        hdrs = [":" + name + "_generate"],
        includes = [name + "_generate"],
        deps = deps + ["@com_github_grpc_grpc//:grpc++"],
        **kwargs
    )
