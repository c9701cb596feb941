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

    /// -1: none (unix socket)
    var clientPort: Int64 = -1
    /// 0: none was sent
    var status: Int64 = 0
    var headBytes: Int64 = 0
    var bodyBytes: Int64 = 0
    /// Every byte of this response, before TLS.
    var wireBytes: Int64 = 0
    /// The part of wireBytes that was 100 Continue: the ancestors' body_length leaves it out.
    var interimBytes: Int64 = 0
    /// -1: not known
    var ackedBytes: Int64 = -1
    var bytesReceived: Int64 = 0
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
    case clientIP, dateTime, requestLine, method, path, query, `protocol`, host, userAgent, referer
    case forwardedFor, scheme, aborted, tz
    // whole numbers
    case clientPort, statusCode, bodyLength, bodyBytes, headBytes, wireBytes, ackedBytes, bytesReceived
    case requestID, requestsOnConnection, pid
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
        case .clientPort: return "client_port"
        case .statusCode: return "status_code"
        case .bodyLength: return "body_length"
        case .bodyBytes: return "body_bytes"
        case .headBytes: return "head_bytes"
        case .wireBytes: return "wire_bytes"
        case .ackedBytes: return "acked_bytes"
        case .bytesReceived: return "bytes_received"
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
            .referer, .forwardedFor, .scheme, .aborted, .tz:
            return .text
        case .clientPort, .statusCode, .bodyLength, .bodyBytes, .headBytes, .wireBytes, .ackedBytes,
            .bytesReceived, .requestID, .requestsOnConnection, .pid:
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
        case .clientPort: return clientPort < 0 ? .absent : .number(clientPort)
        case .statusCode: return status <= 0 ? .absent : .number(status)
        case .bodyLength: return .number(wireBytes &- interimBytes)
        case .bodyBytes: return .number(bodyBytes)
        case .headBytes: return .number(headBytes)
        case .wireBytes: return .number(wireBytes)
        case .ackedBytes: return ackedBytes < 0 ? .absent : .number(ackedBytes)
        case .bytesReceived: return .number(bytesReceived)
        case .requestID: return requestID == 0 ? .absent : .number(requestID)
        case .requestsOnConnection: return .number(requestsOnConnection)
        case .pid: return .number(pid)
        case .wallSeconds: return microsTotal < 0 ? .absent : .micros(microsTotal)
        case .ttfb: return microsFirstByte < 0 ? .absent : .micros(microsFirstByte)
        }
    }
}
