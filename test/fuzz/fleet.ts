import assert from 'node:assert/strict';
import fc from 'fast-check';
import { peerMessage } from '../../src/fleet/messages.js';
import { openRecordLog, parseRecords } from '../../src/fleet/shell/record-log.js';
import { handshakeMessage, parseFrame } from '../../src/fleet/links/handshake.js';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peerMessages } from '../support/fleet/wire-samples.js';
import { type FuzzKind, mutate, seeded, shown } from './kind.js';

const hex = 'ab'.repeat(32);
const handshakes = [
	{ type: 'hello', protocol: { min: 1, max: 1 }, node: 'alpha', to: 'beta', nonce: hex },
	{ type: 'proof', proof: hex },
	{ type: 'adopt', link: 'alpha.1.1', serial: 1 },
];

/**
 * Unknown fields are dropped; nothing else is added, left out or turned into something else, so that no peer is understood
 * otherwise than it spoke.
 */
function assertUnderstood(understood: unknown, said: unknown, what: string): void {
	if (typeof understood !== 'object' || understood === null) {
		assert.equal(understood, said, what);
		return;
	}
	assert.ok(typeof said === 'object' && said !== null && Array.isArray(said) === Array.isArray(understood), what);
	if (Array.isArray(said)) assert.equal(Object.keys(understood).length, said.length, what);
	for (const [key, value] of Object.entries(understood))
		assertUnderstood(value, (said as Record<string, unknown>)[key], what);
}

/** Messages of peers: good ones changed, and JSON of any shape. */
export const wireMessages: FuzzKind = {
	name: 'messages of peers',
	perMille: 300,
	async run(inputs, seed) {
		const random = seeded(seed);
		const samples = [...peerMessages, ...handshakes].map((message) => Buffer.from(JSON.stringify(message)));
		const made = fc.sample(fc.json(), { numRuns: Math.ceil(inputs / 20), seed }).map((text) => Buffer.from(text));
		for (let input = 0; input < inputs; input++) {
			const bytes = made[input] ?? mutate(random, samples);
			const text = bytes.toString('utf8');
			const parsed = parseFrame<unknown>(input % 4 === 0 ? handshakeMessage : peerMessage, text);
			if (parsed.ok) assertUnderstood(parsed.value, JSON.parse(text), shown(bytes));
			else assert.ok(parsed.reason.length < 120, shown(bytes));
		}
	},
};

/** Record files: what was written, damaged, and put together from pieces of other files. */
export const recordFiles: FuzzKind = {
	name: 'record files',
	perMille: 60,
	async run(inputs, seed) {
		const random = seeded(seed);
		const files = await writtenFiles();
		const known = new Set(files.flatMap(({ entries }) => entries.map((entry) => JSON.stringify(entry))));
		const samples = files.map(({ bytes }) => bytes);
		for (let input = 0; input < inputs; input++) {
			const bytes = mutate(random, samples);
			const { entries, goodBytes } = parseRecords(bytes);
			for (const entry of entries) assert.ok(known.has(JSON.stringify(entry)), `invented: ${shown(bytes)}`);
			assert.ok(goodBytes <= bytes.length, shown(bytes));
		}
	},
};

/** As the record log itself writes them. */
async function writtenFiles(): Promise<{ entries: unknown[]; bytes: Buffer }[]> {
	const folder = await mkdtemp(join(tmpdir(), 'rc-fuzz-'));
	try {
		const files = [];
		for (let number = 0; number < 8; number++) {
			const file = join(folder, `${number}.log`);
			const entries = peerMessages.slice(number, number + 4).map((message) => ({ number, message }));
			const log = await openRecordLog(file);
			for (const entry of entries) await log.append([entry]);
			await log.close();
			files.push({ entries, bytes: await readFile(file) });
		}
		return files;
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}
