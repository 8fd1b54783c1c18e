import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Frames } from '../../../src/fleet/links/frames.js';
import { messageKinds, peerMessage } from '../../../src/fleet/messages.js';
import { inVersion, unspoken } from '../../../src/fleet/links/message-versions.js';
import { protocolVersions, since } from '../../../src/fleet/links/handshake.js';
import { z } from '../../../src/zod.js';
import { version1 } from '../../support/patched-build.js';
import { peerMessages, queryMessages } from '../../support/fleet/wire-samples.js';

const { max } = protocolVersions;

function frames() {
	const logged: Record<string, unknown>[] = [];
	return { logged, frames: new Frames({ info: (fields: object) => logged.push({ ...fields }) }) };
}

describe('the frames of a link', () => {
	it('what is said to a peer of version 1 fits its schema, which refuses anything beyond it', () => {
		const taken = z.fromJSONSchema(version1.messages);
		const { frames: own } = frames();
		own.begin('beta', { min: 1, max: 1 });
		const kinds = new Set<string>();
		for (const message of [...peerMessages, ...queryMessages]) {
			const text = own.write('beta', message);
			if (text === null) continue;
			kinds.add(message.kind);
			const fits = taken.safeParse(JSON.parse(text));
			assert.ok(fits.success, `${message.kind}: ${JSON.stringify(fits.error?.issues)}`);
		}
		assert.ok(kinds.size >= 19, [...kinds].join(', '));
	});

	it('a message of version 1 is understood', () => {
		for (const message of peerMessages) {
			const old = inVersion(1, peerMessage, message);
			if (old !== unspoken) assert.ok(peerMessage.safeParse(old).success, message.kind);
		}
	});

	it('a report that repeats the last one under other numbers is what parsing it says, and any other is parsed', () => {
		const { frames: own } = frames();
		own.begin('beta', { min: 1, max });
		const sample = peerMessages.find((message) => message.kind === 'report');
		assert.ok(sample?.kind === 'report');
		const say = (change: object, surplus = {}): string =>
			JSON.stringify({ ...sample, report: { ...sample.report, ...change }, ...surplus });
		const texts = [
			say({}),
			say({ sequence: 71, echo: 9 }),
			say({ sequence: 72, echo: 10 }),
			say({ sequence: 73, echo: 10, progress: 'another' }),
			say({ sequence: 74, echo: 10, progress: '"sequence":1,"echo":2,' }),
			say({ sequence: 75, echo: 11, progress: '"sequence":1,"echo":3,' }),
			say({ sequence: 76, echo: 11 }, { surplus: { sequence: 5, echo: 6 } }),
			say({ sequence: 2 ** 53, echo: 12 }),
			say({ sequence: -1, echo: 12 }),
			say({ sequence: 77, echo: 12 }).replace('"boot"', '"boots"'),
			say({ sequence: 78, echo: 12 }).slice(0, -1),
			say({ sequence: 79, echo: 12 }),
			say({ sequence: 80, echo: 13 }),
		];
		for (const text of texts) {
			const fresh = new Frames({ info: () => undefined });
			fresh.begin('beta', { min: 1, max });
			assert.deepEqual(own.read('beta', text), fresh.read('beta', text), text);
		}
		const [first, second] = [own.read('beta', say({ sequence: 81 })), own.read('beta', say({ sequence: 82 }))];
		assert.ok(first.kind === 'message' && first.message.kind === 'report');
		assert.ok(second.kind === 'message' && second.message.kind === 'report');
		assert.equal(first.message.report.records, second.message.report.records, 'it is not parsed again');
	});

	it('fields of a later version are left out at every depth, and a message of a later version is not said', () => {
		const schema = z.discriminatedUnion('kind', [
			z.object({
				kind: z.literal('a'),
				plain: z.string(),
				more: since(2, z.string().default('')),
				list: z.array(z.object({ plain: z.string(), most: since(3, z.string().nullable().default(null)) })).nullable(),
			}),
			since(3, z.object({ kind: z.literal('b') })),
		]);
		const a = { kind: 'a', plain: 'x', more: 'y', list: [{ plain: 'x', most: 'z' }], surplus: 1 };
		assert.deepEqual(inVersion(1, schema, a), { kind: 'a', plain: 'x', list: [{ plain: 'x' }] });
		assert.deepEqual(inVersion(2, schema, a), { kind: 'a', plain: 'x', more: 'y', list: [{ plain: 'x' }] });
		const heard = { kind: 'a', plain: 'x', more: '', list: [{ plain: 'x', most: null }] };
		assert.deepEqual(schema.parse(inVersion(1, schema, a)), heard);
		assert.equal(inVersion(2, schema, { kind: 'b' }), unspoken);
		assert.deepEqual(inVersion(3, schema, { kind: 'b' }), { kind: 'b' });
	});

	it('an unknown kind from a peer of a later version is ignored and the log names a bounded number of them; from any other it is a fault', () => {
		const { frames: own, logged } = frames();
		for (const same of [max, 1]) {
			own.begin('beta', { min: 1, max: same });
			assert.equal(own.read('beta', '{"kind":"weather"}').kind, 'fault');
		}
		own.begin('beta', { min: 1, max: max + 1 });
		for (let number = 0; number < 2; number++)
			for (const letter of 'abcdefghijklmnopqrstuvwxyz')
				assert.equal(own.read('beta', `{"kind":"weather_${letter}","__proto__":{}}`).kind, 'ignored');
		for (const kind of messageKinds.keys()) assert.equal(own.read('beta', `{"kind":"${kind}"}`).kind, 'fault', kind);
		for (const text of ['{"kind":1}', '{"kind":"W\\u001b[31m"}', '{}', '[]', 'null', '"kind"', '{'])
			assert.equal(own.read('beta', text).kind, 'fault', text);
		own.end('beta');
		assert.equal(logged.filter(({ event }) => event === 'peer_message_ignored').length, 16);
		assert.deepEqual(logged.at(-1), { event: 'peer_messages_ignored', peer: 'beta', count: 52 });
	});
});
