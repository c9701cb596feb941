// SPDX-License-Identifier: MIT
// BodyDelivery - names the moments at which a request can be handed over.
// Room: HTTP (pure). Spec: option body of evy.h.

/// When a request is handed over: with its whole body, with its head, or as its length suggests.
enum BodyDelivery: String, CaseIterable { case buffer, stream, auto }
