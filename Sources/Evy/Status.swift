// SPDX-License-Identifier: MIT
// Status - HTTP's words as Swift values: the status of a response, the method and version of a request.
// Room: Evy (the Swift face). Spec: RFC 9110 sections 9 and 15.

/// The status of a response, 200...599: `.ok`, `404`, `Status(299, reason: "Almost")`.
public struct Status: Sendable, Hashable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    public let code: Int
    /// nil: the standard phrase.
    public let reason: String?

    public init(_ code: Int, reason: String? = nil) {
        self.code = code
        self.reason = reason
    }

    public init(integerLiteral code: Int) { self.init(code) }

    public var description: String { reason.map { "\(code) \($0)" } ?? "\(code)" }

    public static var ok: Status { 200 }
    public static var created: Status { 201 }
    public static var accepted: Status { 202 }
    public static var noContent: Status { 204 }
    public static var partialContent: Status { 206 }
    public static var movedPermanently: Status { 301 }
    public static var found: Status { 302 }
    public static var seeOther: Status { 303 }
    public static var notModified: Status { 304 }
    public static var temporaryRedirect: Status { 307 }
    public static var permanentRedirect: Status { 308 }
    public static var badRequest: Status { 400 }
    public static var unauthorized: Status { 401 }
    public static var forbidden: Status { 403 }
    public static var notFound: Status { 404 }
    public static var methodNotAllowed: Status { 405 }
    public static var conflict: Status { 409 }
    public static var contentTooLarge: Status { 413 }
    public static var unsupportedMediaType: Status { 415 }
    public static var rangeNotSatisfiable: Status { 416 }
    public static var unprocessableContent: Status { 422 }
    public static var tooManyRequests: Status { 429 }
    public static var internalServerError: Status { 500 }
    public static var notImplemented: Status { 501 }
    public static var badGateway: Status { 502 }
    public static var serviceUnavailable: Status { 503 }
    public static var gatewayTimeout: Status { 504 }
}

/// The method of a request, case kept as sent: `.get`, `"PURGE"`.
public struct Method: Sendable, Hashable, RawRepresentable, ExpressibleByStringLiteral,
    CustomStringConvertible
{
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }
    public init(stringLiteral text: String) { rawValue = text }

    public var description: String { rawValue }

    public static var get: Method { "GET" }
    public static var head: Method { "HEAD" }
    public static var post: Method { "POST" }
    public static var put: Method { "PUT" }
    public static var delete: Method { "DELETE" }
    public static var options: Method { "OPTIONS" }
    public static var patch: Method { "PATCH" }
    public static var trace: Method { "TRACE" }
    public static var connect: Method { "CONNECT" }
}

/// The version a request was sent in.
public enum HTTPVersion: String, Sendable, Comparable {
    case http10 = "HTTP/1.0"
    case http11 = "HTTP/1.1"

    public static func < (left: HTTPVersion, right: HTTPVersion) -> Bool { left.rawValue < right.rawValue }
}
