// SPDX-License-Identifier: MIT
// TLSStaple - turns a file with an OCSP response into what is stapled to one certificate's handshakes.
// Room: Transport (reads files through OpenSSL). Spec: RFC 6960, RFC 6066 section 8.

internal import COpenSSL
internal import Glibc

/// Ownership: owns the bytes. Immutable.
/// Thread:    any.
final class TLSStaple: @unchecked Sendable {
    /// "OCSP response a.der"
    let name: String
    /// DER, as it is sent.
    private let bytes: [UInt8]
    /// Not after it, in seconds since the epoch.
    private let expiry: Int64
    /// OCSP_BASICRESP: whose responses are in it.
    private let basic: OpaquePointer

    init(path: String) throws(TLSError) {
        let pem = try TLSPEM("OCSP response", file: path)
        name = pem.name
        bytes = pem.withBytes { Array($0) }
        basic = try TLSStaple.parse(bytes, pem.name)
        expiry = TLSStaple.expiry(basic)
        // From here on deinit frees, also when this throws.
        if expiry <= Clock.secondsSinceEpoch { throw .tls("\(pem.name) has expired") }
    }

    deinit { OCSP_BASICRESP_free(basic) }

    private static func parse(_ bytes: [UInt8], _ name: String) throws(TLSError) -> OpaquePointer {
        ERR_clear_error()
        defer { ERR_clear_error() }
        let response = bytes.withUnsafeBufferPointer { all in
            var start = all.baseAddress
            return d2i_OCSP_RESPONSE(nil, &start, all.count)
        }
        guard let response else { throw .tls(name + " is no OCSP response (DER is wanted)") }
        defer { OCSP_RESPONSE_free(response) }
        guard OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL,
            let basic = OCSP_response_get1_basic(response)
        else { throw .tls(name + " is an answer without a status: the responder has refused") }
        return basic
    }

    /// The earliest nextUpdate of its parts; without one a response never grows old.
    private static func expiry(_ basic: OpaquePointer) -> Int64 {
        var earliest = Int64.max
        for index in 0..<max(0, OCSP_resp_count(basic)) {
            var next: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
            OCSP_single_get0_status(OCSP_resp_get0(basic, index), nil, nil, nil, &next)
            var days: Int32 = 0
            var seconds: Int32 = 0
            guard let next, ASN1_TIME_diff(&days, &seconds, nil, next) == 1 else { continue }
            let left = Int64(days) * 86_400 + Int64(seconds)
            earliest = min(earliest, Clock.secondsSinceEpoch + left)
        }
        return earliest
    }

    /// The response names certificates by serial number and a digest of the issuer's name.
    func belongs(to identity: TLSIdentity) -> Bool {
        defer { ERR_clear_error() }
        for index in 0..<max(0, OCSP_resp_count(basic)) {
            guard let single = OCSP_resp_get0(basic, index), let id = OCSP_SINGLERESP_get0_id(single) else {
                continue
            }
            var nameHash: UnsafeMutablePointer<ASN1_OCTET_STRING>?
            var method: OpaquePointer?
            var serial: UnsafeMutablePointer<ASN1_INTEGER>?
            OCSP_id_get0_info(&nameHash, &method, nil, &serial, id)
            guard let nameHash, let serial,
                ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(identity.leaf)) == 0,
                let digest = EVP_get_digestbyname(OBJ_nid2sn(OBJ_obj2nid(method)))
            else { continue }
            var room = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
            var count: UInt32 = 0
            guard X509_NAME_digest(X509_get_issuer_name(identity.leaf), digest, &room, &count) == 1 else {
                continue
            }
            let named = UnsafeBufferPointer(
                start: ASN1_STRING_get0_data(nameHash), count: Int(max(0, ASN1_STRING_length(nameHash))))
            if named.elementsEqual(room.prefix(Int(count))) { return true }
        }
        return false
    }

    /// Called only for clients that ask.
    static let answer: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { ssl, _ in
        guard let staple = TLSAttachment.of(ssl)?.staple, Clock.secondsSinceEpoch < staple.expiry,
            let copy = CRYPTO_malloc(staple.bytes.count, nil, 0)
        else { return SSL_TLSEXT_ERR_NOACK }
        copy.copyMemory(from: staple.bytes, byteCount: staple.bytes.count)
        let start = copy.assumingMemoryBound(to: UInt8.self)
        return evyssl_set_status_response(ssl, start, staple.bytes.count) == 1
            ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK
    }
}
