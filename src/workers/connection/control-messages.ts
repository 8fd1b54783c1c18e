import { z } from '../../zod.js';
import type { ControlAnswer, ControlPush } from './control.js';

/**
 * What a worker may say on its control socket. It runs as another user, so it is believed no more than its words allow;
 * words beyond those are left out, since a worker may be of a later version.
 */
const listen = z.object({
	port: z.number().nullable(),
	host: z.string().nullable(),
	path: z.string().nullable(),
	address: z.string().nullable().optional(),
	repeatable: z.boolean().optional(),
	probe: z.string().nullable(),
	direct: z.boolean(),
	protocol: z.enum(['http', 'https', 'h2', 'h2c', 'tls', 'tcp']),
	live: z.boolean(),
});

const status = z.object({
	id: z.string(),
	pid: z.number(),
	state: z.enum(['held', 'live', 'draining']),
	listens: z.array(listen),
	sockets: z.number(),
	openRequests: z.number(),
	served: z.number(),
	faults: z.array(z.string()),
	threadPorts: z.array(z.number()).optional(),
	started: z.boolean().optional(),
	ready: z.boolean().optional(),
});

/** Most seconds in one report. */
const slicesMax = 64;
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const slice = z.object({ second: count, requests: count, errors: count, slow: count.optional(), open: count });
const traffic = z.object({
	requests: count,
	errors: count,
	slow: count.optional(),
	slowMs: count.optional(),
	second: count,
	slices: z.array(slice).max(slicesMax),
});

const report = z.object({
	heapTotal: z.number(),
	heapUsed: z.number(),
	externalMemory: z.number(),
	arrayBuffers: z.number(),
	rss: z.number(),
	cpuMicros: z.number(),
	idle: z.number(),
	active: z.number(),
	utilization: z.number(),
	loopDelayMaxMs: z.number(),
	traffic: traffic.optional(),
});

const schema = z.union([
	z.discriminatedUnion('ok', [
		z.object({ seq: z.number(), ok: z.literal(true), status }),
		z.object({ seq: z.number(), ok: z.literal(false), error: z.string(), code: z.string().nullable(), status }),
	]),
	z.discriminatedUnion('event', [
		z.object({ event: z.literal('listening'), status }),
		z.object({ event: z.literal('fault'), message: z.string(), status }),
		z.object({ event: z.literal('report'), report, status }),
		z.object({ event: z.literal('drained'), cutOff: z.number(), handedOver: z.number() }),
	]),
]);

/** Breaks the build when the words of control.ts and the schema part. */
const words: z.ZodType<ControlAnswer | ControlPush> = schema;

/** One line of a worker; null if it is none of its words. */
export function parseControlLine(line: string): ControlAnswer | ControlPush | null {
	try {
		return words.parse(JSON.parse(line));
	} catch {
		return null;
	}
}
