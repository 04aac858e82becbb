# `cargo xtask COMMAND` does the same where `just` is not installed.

# List the recipes.
default:
    @just --list

# Show a Job that survives the agent's sudden death.
demo:
    cargo xtask demo

# Run everything CI runs: format, lints, every test.
test:
    cargo xtask test

# The same as `test`.
check: test

# Build the example guests for WASI.
guests:
    cargo xtask guests

# Measures the agent beside fork and exec, in release.
bench *ARGS:
    cargo xtask bench {{ARGS}}

# Installs what the tests of other people's clients need.
tools:
    cargo xtask tools

# Cuts the power of the store, in simulation, and looks at so many states.
powercut STATES *ARGS:
    cargo xtask powercut {{STATES}} {{ARGS}}
