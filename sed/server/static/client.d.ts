/** Types of client.js and of the messages of sed-serve (PROTOCOL.md, asyncapi.json, openapi.json). Times are seconds. */

/** One speaker with one emotion. A field is left out if it is unknown. */
export interface Segment {
  start: number;
  end: number;
  speaker?: string;
  emotion?: string;
  confidence?: number;
  /** Mean posterior of every label. */
  probabilities?: Record<string, number>;
  /** Only with models that estimate dimensions, such as arousal: 0 to 1. */
  dimensions?: Record<string, number>;
}

/** The result of a file, as sed's JSON. */
export interface Result {
  format: "sed";
  version: 1;
  uri: string;
  duration: number;
  labels: string[];
  frame_rate: number;
  dimensions?: string[];
  settings?: Settings;
  segments: Segment[];
}

/** The server's prior or sensitivity, and the names of the speakers that it knows, if it has any. */
export interface Settings {
  prior?: Record<string, number>;
  sensitivity?: number;
  enrolled?: string[];
}

export interface Limits {
  max_rate: number;
  burst: number;
  max_waiting: number;
  max_seconds: number;
  max_message: number;
  idle_timeout: number;
}

export interface SegmentMessage {
  type: "segment";
  id: number;
  final: boolean;
  time: number;
  settled: number;
  /** null: a provisional segment is taken back. */
  segment: Segment | null;
}

export interface ProgressMessage {
  type: "progress";
  time: number;
  settled: number;
  waiting: number;
  level: number;
  probabilities: Record<string, number> | null;
}

/** The speaker `from` is the speaker `to`, also in all earlier segments. Only if `start` asked for it. */
export interface RelabelMessage {
  type: "relabel";
  from: string;
  to: string;
  time: number;
}

/** The whole result, which replaces all segments. Only if `start` asked for it. */
export interface RefinedMessage {
  type: "refined";
  segments: Segment[];
}

export interface EndMessage {
  type: "end";
  time: number;
}

/** Codes of the server, and `unreachable` and `closed` of the client itself. */
export type ErrorCode =
  | "bad_frame" | "bad_message" | "unauthorized" | "idle" | "gone" | "too_long" | "too_fast" | "internal" | "too_many" | "overload"
  | "bad_request" | "forbidden" | "too_slow" | "bad_audio" | "bad_result"
  | "unreachable" | "closed";

export interface ErrorDetail {
  code: ErrorCode;
  message: string;
  retry_after?: number;
}

export interface StreamEvents {
  segment: CustomEvent<SegmentMessage>;
  progress: CustomEvent<ProgressMessage>;
  relabel: CustomEvent<RelabelMessage>;
  refined: CustomEvent<RefinedMessage>;
  end: CustomEvent<EndMessage>;
  error: CustomEvent<ErrorDetail>;
}

export class SedError extends Error {
  constructor(code: ErrorCode, message: string, retryAfter?: number);
  readonly code: ErrorCode;
  /** Seconds after which a retry may succeed. */
  readonly retryAfter?: number;
}

export interface OpenOptions {
  /** `ws://` or `wss://`; default: the server of the page. */
  url?: string;
  sampleRate?: number;
  latency?: number;
  token?: string;
  /** Ask for events of type `relabel`. */
  relabel?: boolean;
  /** Ask for an event of type `refined` at the end. */
  refine?: boolean;
  /** Ask the server to keep the stream if its connection is lost; see `resume`. */
  resume?: boolean;
}

/** How a stream can be resumed. */
export interface Resume {
  /** Token, for one use. */
  stream: string;
  /** How long the server keeps the stream. */
  seconds: number;
  /** Samples that the server had received when the connection was opened: audio continues from there. */
  samples: number;
  /** Whether the server had received the end of the audio. */
  ended: boolean;
}

export class SedStream extends EventTarget {
  /** Rejects with a SedError. */
  static open(options?: OpenOptions): Promise<SedStream>;
  /** Continue the stream `lost` on a new connection; rejects with a SedError, `gone` if the server does not keep it. */
  static resume(lost: SedStream, options?: { url?: string; token?: string }): Promise<SedStream>;
  private constructor();
  readonly labels: string[];
  readonly dimensions?: string[];
  readonly settings?: Settings;
  readonly limits: Limits;
  readonly sampleRate: number;
  readonly latency: number;
  /** Seconds of audio sent. */
  readonly sent: number;
  /** Seconds that the server has processed. */
  readonly processed: number;
  readonly unprocessed: number;
  /** Undefined if the stream cannot be resumed. */
  readonly resume?: Resume;
  /** Messages received, on all connections of the stream. */
  readonly received: number;
  readonly closed: boolean;
  send(samples: Int16Array): void;
  sendPaced(samples: Int16Array, shouldContinue?: () => boolean): Promise<void>;
  /** True after the last event, false after an error. */
  end(): Promise<boolean>;
  /** The stream is over. */
  close(): void;
  /** Close as if the connection were lost: the stream can be resumed. */
  abandon(): void;
  addEventListener<Name extends keyof StreamEvents>(
    type: Name,
    listener: (event: StreamEvents[Name]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

export interface FileProgress {
  type: "progress";
  time: number;
  duration: number | null;
  /** Files that the server processes before this one. */
  ahead: number;
}

export interface FileOptions {
  url?: string;
  token?: string;
  onProgress?: (progress: FileProgress) => void;
  /** Called with provisional segments while the file is analysed; the result replaces them. */
  onSegment?: (message: SegmentMessage) => void;
  signal?: AbortSignal;
}

/** Diarize a whole file; rejects with a SedError. */
export function diarizeFile(file: Blob, options?: FileOptions): Promise<Result>;

/** Convert a result of any format that sed reads into another one (POST /convert). */
export function convert(
  result: Blob,
  options?: { url?: string; format?: string; name?: string; token?: string },
): Promise<Blob>;
