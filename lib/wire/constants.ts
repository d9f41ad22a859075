/** The frame types of AMQP 0-9-1 (section 4.2.3). */
export const FRAME_METHOD = 1;
export const FRAME_HEADER = 2;
export const FRAME_BODY = 3;
export const FRAME_HEARTBEAT = 8;

/** The size of what precedes the payload (type, channel and size), in bytes. */
export const FRAME_HEAD = 7;
/** The size of a frame without its payload, in bytes: its head, and the end octet. */
export const FRAME_OVERHEAD = FRAME_HEAD + 1;
/** The last octet of every frame. */
export const FRAME_END = 0xce;
/** The smallest frame size that a peer may insist on, in bytes. */
export const FRAME_MIN_SIZE = 4096;

/** The class `basic`, the only one whose methods carry content. */
export const BASIC = 60;
/** The class `channel`. */
export const CHANNEL = 20;

/** Class and method as one 32-bit number, as they are on the wire. */
export const BASIC_PUBLISH = 0x003c_0028;
export const BASIC_RETURN = 0x003c_0032;
export const BASIC_DELIVER = 0x003c_003c;
export const BASIC_GET_OK = 0x003c_0047;
export const BASIC_ACK = 0x003c_0050;
export const BASIC_REJECT = 0x003c_005a;
export const BASIC_NACK = 0x003c_0078;

/** The flags of a content header: which properties it has, in the order in which they follow. */
export const CONTENT_TYPE = 0x8000;
export const CONTENT_ENCODING = 0x4000;
export const HEADERS = 0x2000;
export const DELIVERY_MODE = 0x1000;
export const PRIORITY = 0x0800;
export const CORRELATION_ID = 0x0400;
export const REPLY_TO = 0x0200;
export const EXPIRATION = 0x0100;
export const MESSAGE_ID = 0x0080;
export const TIMESTAMP = 0x0040;
export const TYPE = 0x0020;
export const USER_ID = 0x0010;
export const APP_ID = 0x0008;
export const CLUSTER_ID = 0x0004;
/** Says that another word of flags follows, which AMQP 0-9-1 never needs. */
export const MORE_FLAGS = 0x0001;
/** All flags that have a meaning in AMQP 0-9-1. */
export const KNOWN_FLAGS = 0xfffc;

/** The longest short string, in bytes. */
export const MAX_SHORT_STRING = 255;
