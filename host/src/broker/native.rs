//! Calls of librdkafka's C API for which rdkafka's safe wrapper panics on what strangers may write, or has none.
//!
//! - Reading: a header name that is not UTF-8 panics in the safe wrapper, and errors lose their partition.
//! - Producing: the safe wrapper takes only UTF-8 header names, and a dead letter keeps the names it came with.
//! - Offset metadata that another client wrote need not be UTF-8 either.
//!
//! - Asking: which topics and groups there are, and what this client may do with them, see [`describe`].
//!
//! All of the host's `unsafe` for Kafka stands in this file and in `native/`.
#![allow(unsafe_code)]

pub(super) mod describe;
pub(super) mod transaction;

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use callgate_core::record::{Coordinate, Header, OutgoingRecord, Record, Timestamp, TimestampKind};
use rdkafka::client::NativeClient;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use super::producer::Shipment;
use super::wake::Wake;

/// The records of one assigned partition that librdkafka has fetched. While nobody takes from it, it fills up to
/// `queued.max.messages.kbytes` and librdkafka stops fetching: that is the back-pressure, nothing is discarded.
pub(super) struct PartitionQueue<C: ConsumerContext> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    topic: Arc<str>,
    partition: i32,
    // Both are used by librdkafka until the queue is destroyed: the wake-up by its callback, the client by the queue.
    _wake: Arc<Wake>,
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread ("completely thread-safe", its INTRODUCTION.md).
unsafe impl<C: ConsumerContext> Send for PartitionQueue<C> {}

impl<C: ConsumerContext> PartitionQueue<C> {
    /// Keeps the partition's records out of the consumer's main queue, before an assign begins to fetch them.
    pub(super) fn part(consumer: &BaseConsumer<C>, topic: &str, partition: i32) {
        if let Some(queue) = partition_queue(consumer, topic, partition) {
            // SAFETY: the queue is ours until it is destroyed, here.
            unsafe {
                sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut());
                sys::rd_kafka_queue_destroy(queue.as_ptr());
            }
        }
    }

    /// Takes the partition's queue over. To be called after each assign: before it, it may be another one.
    pub(super) fn split(
        consumer: &Arc<BaseConsumer<C>>,
        topic: &Arc<str>,
        partition: i32,
        wake: &Arc<Wake>,
    ) -> Option<Self> {
        extern "C" fn nonempty(_client: *mut sys::rd_kafka_t, wake: *mut c_void) {
            // SAFETY: `wake` points into the `Arc` that the queue's owner holds until it has disabled this callback.
            unsafe { &*wake.cast::<Wake>() }.wake();
        }
        let queue = partition_queue(consumer, topic, partition)?;
        // SAFETY: the queue is ours until destroyed; the callback's argument is held by the result, at a stable address.
        unsafe {
            sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut());
            sys::rd_kafka_queue_cb_event_enable(
                queue.as_ptr(),
                Some(nonempty),
                Arc::as_ptr(wake).cast_mut().cast::<c_void>(),
            );
        }
        Some(Self { queue, topic: topic.clone(), partition, _wake: wake.clone(), consumer: consumer.clone() })
    }

    /// Takes the next record, or the next error of the partition, if there is one now.
    ///
    /// One at a time, since librdkafka takes an error for a record where it gives out many at once: it notes that one more
    /// was read than was, and the next time that it fetches from there, which is after each rebalance, it skips a record.
    pub(super) fn take(&self) -> Option<Result<Record, PartitionError>> {
        // SAFETY: the queue is ours; the message is valid, and ours, until it is destroyed, which happens once, here.
        unsafe {
            let message = NonNull::new(sys::rd_kafka_consume_queue(self.queue.as_ptr(), 0))?;
            let taken = match message.as_ref().err {
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    Ok(read(message.as_ref(), self.topic.clone(), self.partition))
                }
                code => Err(PartitionError::read(code.into(), message.as_ref())),
            };
            sys::rd_kafka_message_destroy(message.as_ptr());
            Some(taken)
        }
    }

    /// One above the last that was taken: record, marker of a transaction, or what one has aborted. `None`: nothing was.
    pub(super) fn position(&self) -> Option<i64> {
        let list = self.list();
        // SAFETY: client and list are valid, and the call only writes into the list.
        let code = unsafe { sys::rd_kafka_position(self.consumer.client().native_ptr(), list.ptr()) };
        let known = code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        match list.elements().first().filter(|_| known)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// Has nothing more fetched, until [`resume`](Self::resume).
    pub(super) fn pause(&self) -> KafkaResult<()> {
        self.consumer.pause(&self.list())
    }

    /// Ends a pause, which would outlast the assignment.
    pub(super) fn resume(&self) -> KafkaResult<()> {
        self.consumer.resume(&self.list())
    }

    fn list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, self.partition);
        list
    }
}

impl<C: ConsumerContext> Drop for PartitionQueue<C> {
    fn drop(&mut self) {
        // SAFETY: disabling the callback takes the queue's lock, so it does not run any more once this returns.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

fn partition_queue<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<NonNull<sys::rd_kafka_queue_t>> {
    let name = CString::new(topic).ok()?;
    // SAFETY: the client is valid while borrowed, and the queue holds what it needs of it; the name is copied by the call.
    NonNull::new(unsafe { sys::rd_kafka_queue_get_partition(consumer.client().native_ptr(), name.as_ptr(), partition) })
}

/// What stands in a partition's queue instead of a record.
pub(super) struct PartitionError {
    pub(super) code: RDKafkaErrorCode,
    /// Of what could not be read, or where reading stands.
    pub(super) offset: i64,
    /// librdkafka's own sentence.
    pub(super) reason: String,
}

impl PartitionError {
    /// # Safety
    /// `message` must be a consumed message with an error, not yet destroyed.
    unsafe fn read(code: RDKafkaErrorCode, message: &sys::rd_kafka_message_t) -> Self {
        // SAFETY: as the caller promises; the sentence is the payload of such a message.
        let reason = unsafe { bytes_at(message.payload, message.len) }.unwrap_or_default();
        Self { code, offset: message.offset, reason: String::from_utf8_lossy(reason).into_owned() }
    }
}

/// Copies a message of the consumer's main queue into a record of ours.
pub(super) fn read_borrowed(message: &BorrowedMessage<'_>) -> Record {
    use rdkafka::Message as _;
    // SAFETY: the pointer is valid for as long as `message` is borrowed.
    unsafe { read(&*message.ptr(), Arc::from(message.topic()), message.partition()) }
}

/// Copies a message once, into a single buffer that key, value and headers share.
///
/// # Safety
/// `message` must be a consumed message without an error, not yet destroyed.
unsafe fn read(message: &sys::rd_kafka_message_t, topic: Arc<str>, partition: i32) -> Record {
    // SAFETY: all pointers come from the message and are valid until it is destroyed; lengths are librdkafka's own.
    unsafe {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let millis = sys::rd_kafka_message_timestamp(message, &mut kind);
        let timestamp = match kind {
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME if millis >= 0 => {
                Some(Timestamp { millis, kind: TimestampKind::CreateTime })
            }
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME if millis >= 0 => {
                Some(Timestamp { millis, kind: TimestampKind::LogAppendTime })
            }
            _ => None,
        };

        let key = bytes_at(message.key, message.key_len);
        let value = bytes_at(message.payload, message.len);
        let mut headers: Vec<(&[u8], Option<&[u8]>)> = Vec::new();
        let mut list = ptr::null_mut();
        if sys::rd_kafka_message_headers(message, &mut list) == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            let count = sys::rd_kafka_header_cnt(list);
            headers.reserve_exact(count);
            for index in 0..count {
                let (mut name, mut bytes, mut size): (*const c_char, *const c_void, usize) =
                    (ptr::null(), ptr::null(), 0);
                sys::rd_kafka_header_get_all(list, index, &mut name, &mut bytes, &mut size);
                headers.push((CStr::from_ptr(name).to_bytes(), bytes_at(bytes, size)));
            }
        }

        let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let total = length(key)
            + length(value)
            + headers.iter().map(|(name, value)| name.len() + length(*value)).sum::<usize>();
        let mut buffer = BytesMut::with_capacity(total);
        let mut keep = |part: &[u8]| -> Bytes {
            buffer.extend_from_slice(part);
            buffer.split().freeze()
        };
        Record {
            timestamp,
            key: key.map(&mut keep),
            value: value.map(&mut keep),
            headers: headers
                .into_iter()
                .map(|(name, value)| Header { name: keep(name), value: value.map(&mut keep) })
                .collect(),
            coordinate: Coordinate { topic, partition, offset: message.offset },
        }
    }
}

/// Null stays apart from empty: Kafka's null has no address.
///
/// # Safety
/// `data` must be null, or point to `length` bytes that outlive `'a`.
unsafe fn bytes_at<'a>(data: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) })
}

/// Sends a shipment's record, with the shipment itself as the opaque that comes back in its delivery report.
/// Where the client refuses, the shipment comes back here.
pub(super) fn send<S: Shipment>(client: &NativeClient, shipment: Box<S>) -> Result<(), (RDKafkaErrorCode, Box<S>)> {
    let shipment = Box::into_raw(shipment);
    // SAFETY: the box is not freed before this returns: on success it may be, by another thread that serves its report,
    // but `produce` has copied everything by the time librdkafka lets go of the message. On failure it is still ours.
    unsafe {
        produce(client.ptr(), (*shipment).record(), shipment.cast()).map_err(|code| (code, Box::from_raw(shipment)))
    }
}

fn produce(client: *mut sys::rd_kafka_t, record: &OutgoingRecord, opaque: *mut c_void) -> Result<(), RDKafkaErrorCode> {
    use sys::rd_kafka_vtype_t as vtype;
    type Value = sys::rd_kafka_vu_s__bindgen_ty_1;

    let topic = CString::new(&*record.topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let memory = |part: &Option<Bytes>| Value {
        mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
            ptr: part.as_ref().map_or(ptr::null_mut(), |bytes| bytes.as_ptr().cast_mut().cast()),
            size: part.as_ref().map_or(0, Bytes::len),
        },
    };
    let headers = native_headers(&record.headers);
    let arguments = [
        (vtype::RD_KAFKA_VTYPE_TOPIC, Value { cstr: topic.as_ptr() }),
        (vtype::RD_KAFKA_VTYPE_PARTITION, Value { i32_: record.partition.unwrap_or(-1) }),
        (vtype::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: sys::RD_KAFKA_MSG_F_COPY }),
        (vtype::RD_KAFKA_VTYPE_VALUE, memory(&record.value)),
        (vtype::RD_KAFKA_VTYPE_KEY, memory(&record.key)),
        (vtype::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: opaque }),
        (vtype::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: record.timestamp.unwrap_or(0) }),
        (vtype::RD_KAFKA_VTYPE_HEADERS, Value { headers }),
    ]
    .map(|(vtype, u)| sys::rd_kafka_vu_t { vtype, u });
    // SAFETY: every pointer is valid during the call, which copies topic, key and value; the list of headers becomes
    // librdkafka's if the call succeeds, and stays ours otherwise.
    unsafe {
        let error = sys::rd_kafka_produceva(client, arguments.as_ptr(), arguments.len());
        if error.is_null() {
            return Ok(());
        }
        let code = sys::rd_kafka_error_code(error);
        sys::rd_kafka_error_destroy(error);
        sys::rd_kafka_headers_destroy(headers);
        Err(code.into())
    }
}

fn native_headers(headers: &[Header]) -> *mut sys::rd_kafka_headers_t {
    // SAFETY: name and value are copied by each call. Sizes are those of slices, so they fit an isize.
    unsafe {
        let list = sys::rd_kafka_headers_new(headers.len());
        for Header { name, value } in headers {
            let (data, size) =
                value.as_ref().map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast::<c_void>(), bytes.len()));
            sys::rd_kafka_header_add(list, name.as_ptr().cast(), name.len() as isize, data, size as isize);
        }
        list
    }
}

/// Begins to commit; the end comes as an event on the consumer's queue. The safe wrapper's asynchronous commit reports
/// nothing: librdkafka tells of it by a callback, or to a queue, and rdkafka names neither.
pub(super) fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
) -> Result<(), RDKafkaErrorCode> {
    let client = consumer.client().native_ptr();
    // SAFETY: client and list are valid while borrowed, and the list is copied by the call; the queue is a counted
    // reference, given back here.
    let code = unsafe {
        let queue = sys::rd_kafka_queue_get_consumer(client);
        let code = sys::rd_kafka_commit_queue(client, offsets.ptr(), queue, None, ptr::null_mut());
        sys::rd_kafka_queue_destroy(queue);
        code
    };
    match code {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}

/// The metadata of each element of the list, in its order, as text where it is UTF-8: anybody may commit there.
pub(super) fn offset_metadata(list: &TopicPartitionList) -> Vec<Option<String>> {
    if list.count() == 0 {
        return Vec::new();
    }
    // SAFETY: the list and its elements are valid while it is borrowed; `count` is its length, and not 0.
    let elements = unsafe {
        let native = &*list.ptr();
        std::slice::from_raw_parts(native.elems, list.count())
    };
    elements
        .iter()
        .map(|element| {
            // SAFETY: metadata and its size belong together.
            let bytes = unsafe { bytes_at(element.metadata, element.metadata_size) }?;
            std::str::from_utf8(bytes).ok().map(str::to_owned)
        })
        .collect()
}
