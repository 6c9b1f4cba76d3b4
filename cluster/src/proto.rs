//! The wire: messages and services generated from `proto/*.proto`, where each field is explained.
//!
//! A client needs [`kv_client::KvClient`] (or [`admin_client::AdminClient`]), [`Request`] and [`Response`];
//! `docs/protocol.md` says which answers are definite. Nothing here decides anything.

#![allow(missing_docs, unreachable_pub, unused_qualifications)]
#![allow(clippy::all, clippy::too_many_lines)]

tonic::include_proto!("cluster.v1");
