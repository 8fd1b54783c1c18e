/** Every bound of the listeners. Tests give smaller times; the numbers are the contract's where it says them. */
export interface Limits {
	/** Longest a client may take to send a request's headers. */
	headersMs: number;
	/** Longest a client may take to send a whole request. */
	requestMs: number;
	/** Longest a connection may be without a byte, between requests or within an answer. */
	idleMs: number;
	/** How often the two times above are looked at. */
	checkMs: number;
	/** Longest a TLS handshake may take. */
	handshakeMs: number;
	bodyBytesMax: number;
	headersMax: number;
	/** Connections over TCP, of health checkers, and on the admin socket, each for itself; and of one address, or IPv6 /64. */
	httpConnectionsMax: number;
	httpConnectionsOfOneMax: number;
	healthConnectionsMax: number;
	healthConnectionsOfOneMax: number;
	socketConnectionsMax: number;
	/** Callers that follow a rollout at once. */
	followersMax: number;
	/** What a follower may leave unread before it is cut off. */
	followerBytesMax: number;
	/** How often a follower gets a blank line, and is looked at whether it reads. */
	followerBeatMs: number;
	/** Longest that closing waits for answers under way. */
	closeMs: number;
}

export const defaultLimits: Limits = {
	headersMs: 5_000,
	requestMs: 10_000,
	idleMs: 60_000,
	checkMs: 1_000,
	handshakeMs: 5_000,
	bodyBytesMax: 64 * 1024,
	headersMax: 64,
	httpConnectionsMax: 4_096,
	httpConnectionsOfOneMax: 2_048,
	healthConnectionsMax: 256,
	healthConnectionsOfOneMax: 64,
	socketConnectionsMax: 256,
	followersMax: 64,
	followerBytesMax: 1024 * 1024,
	followerBeatMs: 20_000,
	closeMs: 5_000,
};
