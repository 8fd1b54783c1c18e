import { z } from '../../zod.js';
import { nodeNamePattern } from '../../config/checks/certificates.js';

/**
 * The versions of what crosses a link that this build speaks. Each node says its range in its hello, and a link speaks
 * the highest version that both ends know. The messages themselves stand in messages.ts, the handshake below.
 *
 * How a message may change:
 * - A field that a receiver may drop, or a message that it may ignore, comes with the next `max` and is marked with
 *   {@link since}. It is not said to a peer of an earlier version, whose messages lack it, so a field needs a default.
 * - What a receiver must not drop, since it changes what the rest means (a new value of an enumeration is such a thing),
 *   is said only where every node that it reaches speaks its version; until then the request is refused and names the
 *   nodes that are too old.
 * - `min` rises when a build no longer speaks what was before. Nodes without a version in common keep their link, name
 *   one another, and take part in no rollout together.
 * - The hello is sent before the peer's version is known, and version 1 refuses fields beyond it: it gains none as long
 *   as `min` is 1. What else a node says of itself belongs into the greeting.
 *
 * 1: fields and messages beyond the schema close the link.
 * 2: unknown fields are dropped; messages of an unknown kind are ignored if the peer speaks a later version.
 */
export const protocolVersions = { min: 1, max: 2 } as const;

export type VersionRange = Hello['protocol'];

/** The version that a link to such a peer speaks. */
export const spokenWith = (peer: VersionRange): number => Math.min(protocolVersions.max, peer.max);

const introduced = new WeakMap<z.ZodType, number>();

/** Marks a field, or a whole message, that came with a version after the first. A field is `since(2, hash.default(…))`. */
export function since<Schema extends z.ZodType>(version: number, schema: Schema): Schema {
	introduced.set(schema, version);
	return schema;
}

/** Whether a version has this field or message. */
export const isSpoken = (schema: z.ZodType, version: number): boolean => (introduced.get(schema) ?? 1) <= version;

/**
 * Every message is checked against its schema before anything looks at it; what does not fit closes the link. What the
 * schema does not know is dropped there, so no code behind it sees an unknown field. Limits are of the schema's own.
 */

/** A fleet's largest size, far above what a full mesh is good for. */
export const membersMax = 1_000;

export const nodeName = z.string().regex(nodeNamePattern);
export const counter = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
/** An id that somebody made: a uuid, or in tests a short word; never the name of what every object has. */
export const token = z
	.string()
	.regex(/^[A-Za-z0-9_.:@-]{1,128}$/)
	.refine((value) => !(value in Object.prototype), { error: 'an id is a name that every object has' });
const nonce = z.string().regex(/^[0-9a-f]{64}$/);
const proof = z.string().regex(/^[0-9a-f]{64}$/);
export const hash = z.string().regex(/^[0-9a-f]{1,128}$/);

const hello = z.object({
	type: z.literal('hello'),
	protocol: z.object({ min: counter, max: counter }),
	node: nodeName,
	/** Whom the sender believes to talk to. */
	to: nodeName,
	zone: z.string().max(63).nullable(),
	boot: counter,
	instance: token,
	process: token,
	version: z.string().max(64),
	memberHash: hash,
	members: z.array(nodeName).max(membersMax),
	nonce,
});
export type Hello = z.infer<typeof hello>;

export const handshakeMessage = z.discriminatedUnion('type', [
	hello,
	/** HMAC over both hellos and the prover's role; without a shared secret (TLS) it is not sent. */
	z.object({ type: z.literal('proof'), proof }),
	/** The node whose name sorts first says that this is the pair's link from now on. */
	z.object({
		type: z.literal('adopt'),
		link: z.string().regex(/^[a-z0-9-]{1,63}\.\d{1,16}\.\d{1,16}$/),
		serial: counter,
	}),
]);
export type HandshakeMessage = z.infer<typeof handshakeMessage>;

/** A handshake message fits into this by far; a stranger gets no more of our attention. */
export const handshakeCharactersMax = 32 * 1024;

export type Parsed<T> = { ok: true; value: T } | { ok: false; reason: string };

/** Parses one frame against a schema; the reason names the first path that does not fit and the rule, never the content. */
export function parseFrame<T>(schema: z.ZodType<T>, text: string): Parsed<T> {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		return { ok: false, reason: 'a frame is no JSON' };
	}
	const checked = schema.safeParse(value);
	if (checked.success) return { ok: true, value: checked.data };
	const issue = checked.error.issues[0];
	const path = issue?.path.map(String).join('.').slice(0, 60) || 'the message';
	const rule = issue?.code === 'custom' ? `: ${issue.message}` : '';
	return { ok: false, reason: `a message does not fit the protocol: ${path}${rule}` };
}
