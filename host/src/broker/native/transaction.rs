//! Offsets in a transaction: the safe wrapper tells neither the generation of a membership nor lets metadata through
//! that it has not read itself.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::ptr::NonNull;

use rdkafka::client::NativeClient;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys as sys;

/// Who commits: a member of a group, in the generation that it knew of when it was asked.
pub(in crate::broker) struct Membership(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

// SAFETY: it is a copy that nothing else points to, and is only read.
unsafe impl Send for Membership {}

impl Membership {
    /// `None` where it is not a member now. A broker takes offsets of a nameless member without a generation, whoever
    /// owns the partition: such a membership must never be used.
    pub(in crate::broker) fn of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        // SAFETY: the client is valid while borrowed; what is handed out is ours until it is destroyed.
        let membership =
            Self(NonNull::new(unsafe { sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr()) })?);
        // SAFETY: it is valid as long as `membership` is, and so is the name.
        let is_named = unsafe {
            let name = sys::rd_kafka_consumer_group_metadata_member_id(membership.0.as_ptr());
            !name.is_null() && !CStr::from_ptr(name).is_empty()
        };
        // SAFETY: as above.
        let generation = unsafe { sys::rd_kafka_consumer_group_metadata_generation_id(membership.0.as_ptr()) };
        (is_named && generation >= 0).then_some(membership)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // SAFETY: destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}

/// What librdkafka says of a transaction's call that failed.
pub(in crate::broker) struct NativeError {
    pub(in crate::broker) code: RDKafkaErrorCode,
    pub(in crate::broker) reason: String,
    pub(in crate::broker) is_fatal: bool,
}

/// Puts offsets and their metadata into the producer's open transaction. Waits for the broker.
pub(in crate::broker) fn send_offsets(
    producer: &NativeClient,
    offsets: &TopicPartitionList,
    membership: &Membership,
    timeout_ms: i32,
) -> Result<(), NativeError> {
    // SAFETY: all three are valid while borrowed, and copied by the call; the error is ours until it is destroyed, and its
    // text valid as long as it is.
    unsafe {
        let error =
            sys::rd_kafka_send_offsets_to_transaction(producer.ptr(), offsets.ptr(), membership.0.as_ptr(), timeout_ms);
        if error.is_null() {
            return Ok(());
        }
        let told = NativeError {
            code: sys::rd_kafka_error_code(error).into(),
            reason: CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
            is_fatal: sys::rd_kafka_error_is_fatal(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(told)
    }
}
