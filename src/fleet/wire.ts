import { z } from '../zod.js';
import { nodeNamePattern } from '../config/certificates.js';

/**
 * Every message on a link, checked against its schema before anything looks at it; what does not fit closes the link.
 * Objects are strict: an unknown property is a peer that speaks something else. Limits are of the schema's own.
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
export const shortText = z.string().max(2_048);

const hello = z.strictObject({
	type: z.literal('hello'),
	protocol: z.strictObject({ min: counter, max: counter }),
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
	z.strictObject({ type: z.literal('proof'), proof }),
	/** The node whose name sorts first says that this is the pair's link from now on. */
	z.strictObject({
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
