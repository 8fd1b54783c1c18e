import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { peerMessage } from '../../../src/fleet/messages.js';
import { handshakeMessage, parseFrame } from '../../../src/fleet/links/handshake.js';
import { epoch, peerMessages, queryMessages, report } from '../../support/fleet/wire-samples.js';

const samples = [...peerMessages, ...queryMessages];
const runs = Number(process.env['FUZZ_RUNS'] ?? 5_000);

type Path = (string | number)[];

/** Every place inside a value that holds something. */
function* places(value: unknown, path: Path = []): Generator<Path> {
	if (typeof value !== 'object' || value === null) return;
	for (const [key, inner] of Object.entries(value)) {
		const here = [...path, Array.isArray(value) ? Number(key) : key];
		yield here;
		yield* places(inner, here);
	}
}

function changed(value: unknown, path: Path, change: (holder: Record<string, unknown>, key: string) => void): string {
	const copy = structuredClone(value);
	let holder = copy as Record<string, unknown>;
	for (const key of path.slice(0, -1)) holder = holder[key] as Record<string, unknown>;
	change(holder, String(path.at(-1)));
	return JSON.stringify(copy);
}

/** What the schemas make of a value that one of them made: nothing else. */
function peerOrHandshake(value: object): unknown {
	return 'kind' in value ? peerMessage.parse(value) : handshakeMessage.parse(value);
}

/** Came with a later version than the first, so messages without them are understood. */
const later: ReadonlySet<string | number | undefined> = new Set([
	'authorities',
	'configuration',
	'endedHere',
	'reverts',
	'putBack',
	'revertAs',
	'revert',
	'advice',
	'reverted_by',
	...['hooks', 'before_rollout', 'after_rollout', 'before_node', 'after_node', 'accepted', 'ending'],
]);

/** Records keyed by what the message itself says hold any key. */
const isFree = (path: Path): boolean =>
	['extra', 'configHashes', 'putBack'].includes(String(path.at(-2))) || path.at(-3) === 'putBack';
/** A change leaves out what has not changed. */
const isOptional = (path: Path): boolean => path[0] === 'change';

describe('messages on a link', () => {
	it('every kind passes its schema unchanged', () => {
		for (const sample of samples)
			assert.deepEqual(parseFrame(peerMessage, JSON.stringify(sample)), { ok: true, value: sample });
	});

	it('a field that is missing or of another type is refused, and an unknown one is dropped, wherever it stands', () => {
		let tried = 0;
		for (const sample of samples) {
			for (const path of places(sample)) {
				const inArray = typeof path.at(-1) === 'number';
				const where = `${sample.kind} ${path.join('.')}`;
				const wrong = changed(sample, path, (holder, key) => {
					holder[key] = [{ wrong: true }];
				});
				assert.equal(parseFrame(peerMessage, wrong).ok, false, `wrong type: ${where}`);
				tried += 1;
				if (inArray || isFree(path) || isOptional(path)) continue;
				if (later.has(path.at(-1))) continue;
				const without = changed(sample, path, (holder, key) => delete holder[key]);
				assert.equal(parseFrame(peerMessage, without).ok, false, `missing: ${where}`);
				for (const name of ['surplus', 'constructor', '__proto__']) {
					const unknown = changed(sample, path, (holder) =>
						Object.defineProperty(holder, name, { value: { command: 'x' }, enumerable: true }),
					);
					assert.ok(unknown.includes(`"${name}"`));
					assert.deepEqual(parseFrame(peerMessage, unknown), { ok: true, value: sample }, `${name}: ${where}`);
				}
			}
		}
		assert.ok(tried > 300, `${tried} places`);
	});

	it('whatever bytes come, the answer is a value of the schema or a reason that repeats none of them', () => {
		const frames = samples.map((sample) => Buffer.from(JSON.stringify(sample)));
		const mutated = fc
			.tuple(fc.constantFrom(...frames), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }), fc.nat())
			.map(([frame, changes, cut]) => {
				const copy = Buffer.from(frame);
				for (const [at, byte] of changes) copy[at % copy.length] = byte;
				return copy.subarray(0, cut % 3 === 0 ? cut % copy.length : copy.length).toString('utf8');
			});
		const noise = fc.oneof(mutated, fc.json(), fc.string());
		fc.assert(
			fc.property(noise, (text) => {
				for (const parsed of [parseFrame(peerMessage, text), parseFrame(handshakeMessage, text)]) {
					if (parsed.ok) assert.deepEqual(peerOrHandshake(parsed.value), parsed.value);
					else assert.ok(parsed.reason.length < 120);
				}
			}),
			{ numRuns: runs },
		);
	});

	it('numbers, lists and texts beyond their limits are refused', () => {
		const beyond: unknown[] = [
			{ kind: 'heartbeat', epoch, number: -1, live: true },
			{ kind: 'heartbeat', epoch, number: 1.5, live: true },
			{ kind: 'heartbeat', epoch: { counter: 2 ** 60, node: 'alpha' }, number: 1, live: true },
			{ kind: 'heartbeat', epoch: { counter: 1, node: 'Alpha' }, number: 1, live: true },
			{ kind: 'handover', epoch, rollout: 'r'.repeat(200) },
			{
				kind: 'forward',
				id: 't1',
				word: { kind: 'resume', rollout: 'r1', skip: Array(2_000).fill('beta'), user: 'a' },
			},
			{ kind: 'report', epoch, report: { ...report, progress: 'x'.repeat(300_000) } },
			'['.repeat(100_000),
		];
		for (const value of beyond)
			assert.equal(parseFrame(peerMessage, typeof value === 'string' ? value : JSON.stringify(value)).ok, false);
	});
});
