/**
 * All unit tests in one worker: `deno test` starts one for each file that it finds, which takes longer than the tests.
 * One file alone: `deno test tests/unit/wire/frame_splitter_tests.ts`.
 *
 * @module
 */

import "./cli/command_line_tests.ts";
import "./client/call_ids_tests.ts";
import "./client/called_queues_tests.ts";
import "./client/pending_call_tests.ts";
import "./client/pending_calls_tests.ts";
import "./connection/backoff_tests.ts";
import "./connection/broker_error_tests.ts";
import "./connection/broker_url_tests.ts";
import "./connection/client_properties_tests.ts";
import "./connection/connect_options_tests.ts";
import "./events/event_listener_tests.ts";
import "./events/log_events_tests.ts";
import "./connection/host_rotation_tests.ts";
import "./connection/publisher_confirms_tests.ts";
import "./connection/connection_status_tests.ts";
import "./connection/silence_watch_tests.ts";
import "./contract/body_text_tests.ts";
import "./contract/codec_tests.ts";
import "./contract/deadline_tests.ts";
import "./contract/deadline_timers_tests.ts";
import "./contract/decimal_codecs_tests.ts";
import "./contract/errors_tests.ts";
import "./contract/headers_tests.ts";
import "./contract/interceptor_tests.ts";
import "./contract/json_codec_tests.ts";
import "./contract/plain_codecs_tests.ts";
import "./contract/printable_tests.ts";
import "./contract/procedure_tests.ts";
import "./contract/service_tests.ts";
import "./contract/typed_error_tests.ts";
import "./contract/validate_tests.ts";
import "./server/ack_batcher_tests.ts";
import "./server/cancel_registry_tests.ts";
import "./server/queue_declaration_tests.ts";
import "./server/request_memory_tests.ts";
import "./server/stall_detector_tests.ts";
import "./server/suspect_replies_tests.ts";
import "./testing/memory_channel_tests.ts";
import "./testing/memory_message_tests.ts";
import "./testing/memory_queue_tests.ts";
import "./testing/memory_tests.ts";
import "./testing/request_context_tests.ts";
import "./tutorial/fib_tests.ts";
import "./types_tests.ts";
import "./wire/byte_string_tests.ts";
import "./wire/content_encoding_tests.ts";
import "./wire/control_message_tests.ts";
import "./wire/decoder_property_tests.ts";
import "./wire/encoder_property_tests.ts";
import "./wire/error_reply_tests.ts";
import "./wire/field_table_property_tests.ts";
import "./wire/field_table_tests.ts";
import "./wire/frame_decoder_tests.ts";
import "./wire/frame_encoder_tests.ts";
import "./wire/frame_splitter_tests.ts";
import "./wire/reply_address_tests.ts";
import "./wire/reply_message_tests.ts";
import "./wire/request_message_tests.ts";
import "./wire/string_headers_tests.ts";
