//! Compiles the clock shim (`shim/clock.c`) into a shared object, which `src/clock/page.rs` embeds.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=shim/clock.c");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("clock.so");
    // Not `Build::compile`, which makes archives; the compiler and its flags are what it knows best.
    let compiler = cc::Build::new().pic(true).opt_level(2).get_compiler();
    let mut command = compiler.to_command();
    command.args(["-shared", "-fvisibility=default", "-Wall", "-Wextra", "-o"]);
    command.arg(&out).args(["shim/clock.c", "-ldl"]);
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            println!("cargo::error=the clock shim does not compile ({status})");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("cargo::error=there is no C compiler for the clock shim: {error}");
            ExitCode::FAILURE
        }
    }
}
