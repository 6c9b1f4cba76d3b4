//! Compiles `proto/*.proto` with protox, so that no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files = ["proto/kv.proto", "proto/peer.proto", "proto/admin.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    let generator = tonic_prost_build::configure().codec_path("crate::codec::Codec");
    generator.bytes(".").compile_fds(descriptors)?;
    Ok(())
}
