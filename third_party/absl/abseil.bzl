"""Abseil's targets over Debian's libabsl-dev."""

def abseil_library(name):
    """One of Abseil's targets; its headers are in the system's include path.

    Abseil's shared objects depend on each other in ways that its own BUILD files spell out
    and Debian's package does not, so each target offers all of them to the linker, which
    keeps (--as-needed) those that a program uses.

    Args:
      name: the target's name in Abseil.
    """
    native.cc_library(
        name = name,
        deps = ["//:shared_objects"],
    )
