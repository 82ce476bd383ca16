//! librdkafka's administrative calls that describe topics, partitions and groups, which the safe wrapper lacks.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::iter;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use rdkafka::client::NativeClient;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka_sys as sys;
use sys::rd_kafka_AclOperation_t as Operation;
use sys::rd_kafka_IsolationLevel_t as Level;
use sys::rd_kafka_admin_op_t as Kind;

/// What the client may do with a topic or group; `None` where the broker does not tell.
pub(in crate::broker) type Operations = Option<Vec<Operation>>;

/// What the broker says of one topic.
pub(in crate::broker) struct NativeTopic {
    pub(in crate::broker) name: String,
    pub(in crate::broker) error: Option<RDKafkaErrorCode>,
    /// Zeros where the broker has none.
    pub(in crate::broker) id: [u8; 16],
    pub(in crate::broker) partitions: usize,
    pub(in crate::broker) operations: Operations,
}

/// What the broker says of one group.
pub(in crate::broker) struct NativeGroup {
    pub(in crate::broker) error: Option<RDKafkaErrorCode>,
    pub(in crate::broker) operations: Operations,
}

/// Which records count when a partition's last offset is asked for.
#[derive(Clone, Copy)]
pub(in crate::broker) enum Isolation {
    /// All: the answer is the high watermark.
    ReadUncommitted,
    /// Those before the first open transaction: the answer is the last stable offset.
    ReadCommitted,
}

/// A question on its way to a broker. Dropping it gives it up.
pub(in crate::broker) struct Question<'a> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    client: PhantomData<&'a NativeClient>,
}

impl<'a> Question<'a> {
    /// Which topics are there under these names, each of which stands there once, and what this client may do with
    /// them. `None`: a name holds a NUL, or librdkafka has no memory left.
    pub(in crate::broker) fn topics<'n>(
        client: &'a NativeClient,
        names: impl Iterator<Item = &'n str>,
        timeout: Duration,
    ) -> Option<Self> {
        Self::ask(client, names, Kind::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout, |names, options, queue| {
            // SAFETY: the client lives as long as the question; the collection copies the names, the call the collection.
            unsafe {
                let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
                sys::rd_kafka_DescribeTopics(client.ptr(), topics, options, queue);
                sys::rd_kafka_TopicCollection_destroy(topics);
            }
        })
    }

    /// What this client may do with a group. `None` as above.
    pub(in crate::broker) fn group(client: &'a NativeClient, name: &str, timeout: Duration) -> Option<Self> {
        let names = [name].into_iter();
        Self::ask(client, names, Kind::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout, |names, options, queue| {
            // SAFETY: the client lives as long as the question; names and options are copied by the call.
            unsafe {
                sys::rd_kafka_DescribeConsumerGroups(client.ptr(), names.as_mut_ptr(), names.len(), options, queue);
            }
        })
    }

    /// One above the last record of each of these partitions. `None` as above.
    pub(in crate::broker) fn latest_offsets(
        client: &'a NativeClient,
        partitions: &TopicPartitionList,
        isolation: Isolation,
        timeout: Duration,
    ) -> Option<Self> {
        let mut asked = TopicPartitionList::with_capacity(partitions.count());
        for element in partitions.elements() {
            asked.add_partition_offset(element.topic(), element.partition(), Offset::End).ok()?;
        }
        let level = match isolation {
            Isolation::ReadUncommitted => Level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
            Isolation::ReadCommitted => Level::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
        };
        Self::ask(client, iter::empty(), Kind::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout, |_, options, queue| {
            // SAFETY: the client lives as long as the question; list and options are valid, and copied by the call. The
            // error, where there is one, is ours.
            unsafe {
                let error = sys::rd_kafka_AdminOptions_set_isolation_level(options, level);
                if !error.is_null() {
                    sys::rd_kafka_error_destroy(error);
                }
                sys::rd_kafka_ListOffsets(client.ptr(), asked.ptr(), options, queue);
            }
        })
    }

    fn ask<'n>(
        client: &'a NativeClient,
        names: impl Iterator<Item = &'n str>,
        kind: Kind,
        timeout: Duration,
        send: impl FnOnce(&mut [*const c_char], *mut sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    ) -> Option<Self> {
        let names: Vec<CString> = names.map(CString::new).collect::<Result<_, _>>().ok()?;
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: the queue is ours until it is destroyed, when the question is dropped.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_new(client.ptr()) })?;
        let question = Self { queue, client: PhantomData };
        // SAFETY: options belong to us and are copied by the call. Without a buffer for it, no error text is written.
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(client.ptr(), kind);
            sys::rd_kafka_AdminOptions_set_request_timeout(options, millis(timeout), ptr::null_mut(), 0);
            let error = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
            if !error.is_null() {
                sys::rd_kafka_error_destroy(error);
            }
            send(&mut pointers, options, queue.as_ptr());
            sys::rd_kafka_AdminOptions_destroy(options);
        }
        Some(question)
    }

    /// The answer, or librdkafka's word that there is none; `None` if neither has come within `wait`.
    pub(in crate::broker) fn answer(&self, wait: Duration) -> Option<Result<Answer, Refused>> {
        // SAFETY: the queue is ours; the event is, too, until it is destroyed, when the answer is dropped.
        let event = Answer(NonNull::new(unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), millis(wait)) })?);
        // SAFETY: the event is valid, and its text as long as it is.
        unsafe {
            match sys::rd_kafka_event_error(event.0.as_ptr()) {
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Some(Ok(event)),
                code => Some(Err(Refused {
                    code: code.into(),
                    reason: text(sys::rd_kafka_event_error_string(event.0.as_ptr())),
                })),
            }
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        // SAFETY: destroyed once. An answer that comes later finds the queue closed and is destroyed by librdkafka.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// Why a question as a whole has no answer.
pub(in crate::broker) struct Refused {
    pub(in crate::broker) code: RDKafkaErrorCode,
    pub(in crate::broker) reason: String,
}

/// What came back.
pub(in crate::broker) struct Answer(NonNull<sys::rd_kafka_event_t>);

impl Answer {
    /// To a question about topics; what the broker left out is missing here too.
    pub(in crate::broker) fn topics(&self) -> Vec<NativeTopic> {
        // SAFETY: all that the event hands out is valid as long as it is, and is copied here. The result is null, and
        // nothing read, if the event is of another kind.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(self.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            let mut count = 0;
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            each(topics, count)
                .map(|topic| NativeTopic {
                    name: text(sys::rd_kafka_TopicDescription_name(topic)),
                    error: error(sys::rd_kafka_TopicDescription_error(topic)),
                    id: id(sys::rd_kafka_TopicDescription_topic_id(topic)),
                    partitions: partitions(topic),
                    operations: operations(|count| sys::rd_kafka_TopicDescription_authorized_operations(topic, count)),
                })
                .collect()
        }
    }

    /// To a question about last offsets: topic, partition, offset. Those that the broker does not tell are missing.
    pub(in crate::broker) fn latest_offsets(&self) -> Vec<(String, i32, i64)> {
        // SAFETY: as above.
        unsafe {
            let result = sys::rd_kafka_event_ListOffsets_result(self.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            let mut count = 0;
            let infos = sys::rd_kafka_ListOffsets_result_infos(result, &mut count);
            each(infos, count)
                .map(|info| &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info))
                .filter(|at| at.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && at.offset >= 0)
                .map(|at| (text(at.topic), at.partition, at.offset))
                .collect()
        }
    }

    /// To a question about a group.
    pub(in crate::broker) fn group(&self) -> Option<NativeGroup> {
        // SAFETY: as above.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(self.0.as_ptr());
            if result.is_null() {
                return None;
            }
            let mut count = 0;
            let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
            each(groups, count).next().map(|group| NativeGroup {
                error: error(sys::rd_kafka_ConsumerGroupDescription_error(group)),
                operations: operations(|count| {
                    sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, count)
                }),
            })
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: destroyed once, and nothing borrowed from it outlives it.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}

/// The elements that are there: librdkafka leaves null where the broker did not answer.
///
/// # Safety
/// `list` must point to `count` pointers, or `count` be 0.
unsafe fn each<T>(list: *mut *const T, count: usize) -> impl Iterator<Item = *const T> {
    // SAFETY: as the caller promises.
    let list = if count == 0 { Vec::new() } else { unsafe { slice::from_raw_parts(list, count) }.to_vec() };
    list.into_iter().filter(|element| !element.is_null())
}

/// # Safety
/// `error` must be null or valid.
unsafe fn error(error: *const sys::rd_kafka_error_t) -> Option<RDKafkaErrorCode> {
    // SAFETY: as the caller promises; of null, librdkafka says that it is no error.
    match unsafe { sys::rd_kafka_error_code(error) } {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => None,
        code => Some(code.into()),
    }
}

/// # Safety
/// `topic` must be valid.
unsafe fn partitions(topic: *const sys::rd_kafka_TopicDescription_t) -> usize {
    let mut count = 0;
    // SAFETY: as the caller promises.
    unsafe { sys::rd_kafka_TopicDescription_partitions(topic, &mut count) };
    count
}

/// # Safety
/// `uuid` must be null or valid.
unsafe fn id(uuid: *const sys::rd_kafka_Uuid_t) -> [u8; 16] {
    if uuid.is_null() {
        return [0; 16];
    }
    // SAFETY: as the caller promises.
    let (most, least) =
        unsafe { (sys::rd_kafka_Uuid_most_significant_bits(uuid), sys::rd_kafka_Uuid_least_significant_bits(uuid)) };
    (u128::from(most.cast_unsigned()) << 64 | u128::from(least.cast_unsigned())).to_be_bytes()
}

/// # Safety
/// What `read` gives must be null, or point to as many operations as it says.
unsafe fn operations(read: impl FnOnce(*mut usize) -> *const Operation) -> Operations {
    let mut count = 0;
    let list = read(&mut count);
    // SAFETY: as the caller promises; null says that the broker did not tell.
    (!list.is_null()).then(|| unsafe { slice::from_raw_parts(list, count) }.to_vec())
}

/// # Safety
/// `text` must be null or a C string.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
