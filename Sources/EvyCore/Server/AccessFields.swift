// SPDX-License-Identifier: MIT
// AccessFields - turns the facts of one finished request into the named fields of the access log.
// Room: Server (pure). Spec: option access_log_format, with the field names of the ancestors.

/// What is known about a finished request. Plain data: lent for the call that writes the line.
struct AccessRecord {
    var clientIP = UnsafeRawBufferPointer.absent
    var requestLine = UnsafeRawBufferPointer.absent
    var method = UnsafeRawBufferPointer.absent
    var path = UnsafeRawBufferPointer.absent
    var query = UnsafeRawBufferPointer.absent
    /// "HTTP/1.1"
    var `protocol` = UnsafeRawBufferPointer.absent
    var host = UnsafeRawBufferPointer.absent
    var userAgent = UnsafeRawBufferPointer.absent
    var referer = UnsafeRawBufferPointer.absent
    var forwardedFor = UnsafeRawBufferPointer.absent
    /// What option request_id_header stands for.
    var headerID = UnsafeRawBufferPointer.absent
    /// The ids of a valid traceparent.
    var traceID = UnsafeRawBufferPointer.absent
    var parentID = UnsafeRawBufferPointer.absent

    /// -1: none (unix socket)
    var clientPort: Int64 = -1
    /// 0: none was sent
    var status: Int64 = 0
    var headBytes: Int64 = 0
    var bodyBytes: Int64 = 0
    /// Every byte of this response, before TLS.
    var wireBytes: Int64 = 0
    /// Informational answers (1xx) that were to go ahead of it, also those that never left.
    var interimBytes: Int64 = 0
    /// -1: not known
    var ackedBytes: Int64 = -1
    /// Of the request's body, as the hooks know them; wireReceived has its head and framing too.
    var bytesReceived: Int64 = 0
    var wireReceived: Int64 = 0
    /// 0: none
    var requestID: Int64 = 0
    var requestsOnConnection: Int64 = 0
    var microsTotal: Int64 = 0
    /// -1: no byte was sent
    var microsFirstByte: Int64 = -1
    /// Seconds since the epoch
    var wallSeconds: Int64 = 0
    var pid: Int64 = 0
    var tls = false
    /// How it ended ("client-reset"); nil: complete.
    var end: StaticString? = nil
}

extension UnsafeRawBufferPointer {
    fileprivate static var absent: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }
}

enum AccessField: UInt8, CaseIterable {
    // text
    case time, clientIP, dateTime, requestLine, method, path, query, `protocol`, host, userAgent, referer
    case forwardedFor, scheme, aborted, tz, timeLocal, headerID, traceID, parentID
    // whole numbers
    case clientPort, statusCode, bodyLength, bodyBytes, headBytes, wireBytes, ackedBytes, bytesReceived
    case wireReceived, requestID, requestsOnConnection, pid
    // seconds with a fraction
    case wallSeconds, ttfb

    enum Kind { case text, number, seconds }

    /// The name inside %( ).
    var name: StaticString {
        switch self {
        case .clientIP: return "client_ip"
        case .dateTime: return "date_time"
        case .requestLine: return "request_line"
        case .method: return "method"
        case .path: return "path"
        case .query: return "query"
        case .protocol: return "protocol"
        case .host: return "host"
        case .userAgent: return "user_agent"
        case .referer: return "referer"
        case .forwardedFor: return "x_forwarded_for"
        case .scheme: return "scheme"
        case .aborted: return "aborted"
        case .tz: return "tz"
        case .time: return "time"
        case .timeLocal: return "time_local"
        case .headerID: return "header_id"
        case .traceID: return "trace_id"
        case .parentID: return "parent_id"
        case .clientPort: return "client_port"
        case .statusCode: return "status_code"
        case .bodyLength: return "body_length"
        case .bodyBytes: return "body_bytes"
        case .headBytes: return "head_bytes"
        case .wireBytes: return "wire_bytes"
        case .ackedBytes: return "acked_bytes"
        case .bytesReceived: return "bytes_received"
        case .wireReceived: return "wire_received"
        case .requestID: return "request_id"
        case .requestsOnConnection: return "requests_on_connection"
        case .pid: return "pid"
        case .wallSeconds: return "wall_seconds"
        case .ttfb: return "ttfb"
        }
    }

    var kind: Kind {
        switch self {
        case .clientIP, .dateTime, .requestLine, .method, .path, .query, .protocol, .host, .userAgent,
            .referer, .forwardedFor, .scheme, .aborted, .tz, .time, .timeLocal, .headerID, .traceID,
            .parentID:
            return .text
        case .clientPort, .statusCode, .bodyLength, .bodyBytes, .headBytes, .wireBytes, .ackedBytes,
            .bytesReceived, .wireReceived, .requestID, .requestsOnConnection, .pid:
            return .number
        case .wallSeconds, .ttfb:
            return .seconds
        }
    }
}

extension AccessRecord {
    /// What a field holds for this request.
    enum Value {
        case absent
        case text(UnsafeRawBufferPointer)
        case fixed(StaticString)
        case number(Int64)
        case micros(Int64)
        /// client_ip behind what X-Forwarded-For claims
        case forwardedClient
        case dateTime
        case zone
        case timeLocal
        case utc
    }

    func value(of field: AccessField, showsForwardedFor: Bool) -> Value {
        switch field {
        case .clientIP: return showsForwardedFor && !forwardedFor.isEmpty ? .forwardedClient : .text(clientIP)
        case .dateTime: return .dateTime
        case .requestLine: return .text(requestLine)
        case .method: return .text(method)
        case .path: return .text(path)
        case .query: return .text(query)
        case .protocol: return .text(`protocol`)
        case .host: return .text(host)
        case .userAgent: return .text(userAgent)
        case .referer: return .text(referer)
        case .forwardedFor: return .text(forwardedFor)
        case .scheme: return .fixed(tls ? "https" : "http")
        case .aborted: return end.map { .fixed($0) } ?? .absent
        case .tz: return .zone
        case .time: return .utc
        case .timeLocal: return .timeLocal
        case .headerID: return .text(headerID)
        case .traceID: return .text(traceID)
        case .parentID: return .text(parentID)
        case .clientPort: return clientPort < 0 ? .absent : .number(clientPort)
        case .statusCode: return status <= 0 ? .absent : .number(status)
        case .bodyLength: return .number(wireBytes &- min(interimBytes, wireBytes))
        case .bodyBytes: return .number(bodyBytes)
        case .headBytes: return .number(headBytes)
        case .wireBytes: return .number(wireBytes)
        case .ackedBytes: return ackedBytes < 0 ? .absent : .number(ackedBytes)
        case .bytesReceived: return .number(bytesReceived)
        case .wireReceived: return .number(wireReceived)
        case .requestID: return requestID == 0 ? .absent : .number(requestID)
        case .requestsOnConnection: return .number(requestsOnConnection)
        case .pid: return .number(pid)
        case .wallSeconds: return microsTotal < 0 ? .absent : .micros(microsTotal)
        case .ttfb: return microsFirstByte < 0 ? .absent : .micros(microsFirstByte)
        }
    }
}
