# SPDX-License-Identifier: MIT
"""judge.py TESTSSL.json SSLYZE.json STATUS - fails on every finding that evy could do something about.

STATUS is sslyze's exit status: 0 where the server is what Mozilla's "intermediate" configuration asks for."""
import json
import sys

HARMLESS = ("OK", "INFO")
# What testssl.sh says about the private certificate, or about the machine it runs on.
PRIVATE = {
    "cert_revocation": "a private authority publishes neither CRL nor OCSP",
    "cert_certificatePolicies_EV": "a private certificate is no EV certificate",
    "certificate_transparency": "private certificates are in no public log",
    "DNS_CAArecord": "localhost has no DNS records",
    "OCSP_stapling": "there is no OCSP response to staple",
    "engine_problem": "the scanner's own OpenSSL has no GOST",
}
# A scan that broke off has no finding either: these verdicts have to be there, and to be good.
WANTED = (
    "SSLv2 SSLv3 TLS1 TLS1_1 TLS1_2 TLS1_3 GREASE cipherlist_NULL cipherlist_aNULL cipherlist_EXPORT "
    "cipherlist_LOW cipherlist_3DES_IDEA cipherlist_AVERAGE cipherlist_STRONG PFS cipher_order "
    "TLS_session_ticket cert_trust cert_chain_of_trust heartbleed CCS ticketbleed ROBOT secure_renego "
    "secure_client_renego CRIME_TLS BREACH POODLE_SSL fallback_SCSV SWEET32 FREAK DROWN LOGJAM BEAST "
    "LUCKY13 RC4"
).split()


def judge_testssl(path):
    with open(path) as file:
        findings = json.load(file)
    for finding in findings:
        if finding["severity"] in HARMLESS:
            continue
        if reason := PRIVATE.get(finding["id"]):
            print(f"passed over: {finding['id']}: {finding['finding']} ({reason})")
        else:
            yield f"testssl.sh: {finding['severity']}: {finding['id']}: {finding['finding']}"
    seen = {finding["id"] for finding in findings}
    for name in WANTED:
        if name not in seen:
            yield f"testssl.sh: no verdict about {name}"
    print(f"testssl.sh: {len(findings)} findings, {sum(f['severity'] == 'OK' for f in findings)} OK")


def suites(result, name):
    found = result[name]["result"]
    return {suite["cipher_suite"]["name"] for suite in found["accepted_cipher_suites"]}


def judge_sslyze(path, status):
    with open(path) as file:
        result = json.load(file)["server_scan_results"][0]["scan_result"]
    verdicts = {
        f"{old} is refused": not suites(result, f"{old}_cipher_suites")
        for old in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
    }
    tls12, tls13 = suites(result, "tls_1_2_cipher_suites"), suites(result, "tls_1_3_cipher_suites")
    reneg = result["session_renegotiation"]["result"]
    resumption = result["session_resumption"]["result"]
    verdicts |= {
        "TLS 1.2 has forward secrecy and AEAD alone": tls12
        and all("ECDHE" in name and ("GCM" in name or "POLY1305" in name) for name in tls12),
        "TLS 1.3 is spoken": bool(tls13),
        "client-initiated renegotiation is refused": not reneg["is_vulnerable_to_client_renegotiation_dos"],
        "secure renegotiation is indicated": reneg["supports_secure_renegotiation"],
        "sessions are resumed by tickets": resumption["tls_ticket_resumption_result"] == "FULLY_SUPPORTED",
        "no compression": not result["tls_compression"]["result"]["supports_compression"],
        "no early data": not result["tls_1_3_early_data"]["result"]["supports_early_data"],
        "fallback is noticed": result["tls_fallback_scsv"]["result"]["supports_fallback_scsv"],
        "extended master secret": result["tls_extended_master_secret"]["result"]["supports_ems_extension"],
        "no Heartbleed": not result["heartbleed"]["result"]["is_vulnerable_to_heartbleed"],
        "no CCS injection": not result["openssl_ccs_injection"]["result"]["is_vulnerable_to_ccs_injection"],
        "no ROBOT": result["robot"]["result"]["robot_result"].startswith("NOT_VULNERABLE"),
        'what Mozilla\'s "intermediate" asks for': status == 0,
    }
    print(f"sslyze: {len(verdicts)} verdicts; TLS 1.2: {', '.join(sorted(tls12))}")
    for verdict, holds in verdicts.items():
        if not holds:
            yield f"sslyze: not so: {verdict}"


def main():
    complaints = [*judge_testssl(sys.argv[1]), *judge_sslyze(sys.argv[2], int(sys.argv[3]))]
    for complaint in complaints:
        print(complaint)
    print(f"tls-scan: {len(complaints)} complaints")
    return 1 if complaints else 0


sys.exit(main())
