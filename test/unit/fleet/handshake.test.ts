import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../../src/fleet/clock.js';
import { type Introduction, Link, type LinkListener, type LinkRole } from '../../../src/fleet/links/link.js';
import type { Channel, ChannelListener } from '../../../src/fleet/links/websocket.js';
import { z } from '../../../src/zod.js';
import { version1 } from '../../support/patched-build.js';

const runs = Math.ceil(Number(process.env['FUZZ_RUNS'] ?? 5_000) / 5);
const secret = Buffer.from('a secret of the tests alone');

/** One end of a connection that carries what the test lets through. */
class TestChannel implements Channel {
	readonly remote = 'test:0';
	readonly sent: string[] = [];
	closedFor: string | null = null;
	#listener: ChannelListener | null = null;
	constructor(readonly certifiedName: string | null = null) {}
	send(text: string): void {
		if (this.closedFor === null) this.sent.push(text);
	}
	ping(): void {}
	keep(): void {}
	close(reason: string): void {
		if (this.closedFor !== null) return;
		this.closedFor = reason;
		this.#listener?.closed(reason);
	}
	listen(listener: ChannelListener): void {
		this.#listener = listener;
	}
	receive(text: string): void {
		if (this.closedFor === null) this.#listener?.message(text);
	}
}

interface End {
	channel: TestChannel;
	link: Link;
	lives: number;
	frames: string[];
}

function introductionOf(node: string): Introduction {
	return {
		node,
		zone: null,
		boot: 1,
		instance: `i-${node}`,
		process: `p-${node}`,
		version: '0',
		memberHash: 'ab',
		members: ['alpha', 'beta'],
	};
}

function end(
	node: string,
	role: LinkRole,
	expected: string | null,
	key: Buffer | null = secret,
	certified?: string,
): End {
	const channel = new TestChannel(certified ?? null);
	const made: End = { channel, lives: 0, frames: [] } as unknown as End;
	const listener: LinkListener = {
		proven: (link) => {
			if (link.decides) link.adopt(1);
		},
		accepts: () => true,
		live: () => {
			made.lives += 1;
		},
		frame: (_link, text) => made.frames.push(text),
		closed: () => undefined,
	};
	made.link = new Link(
		channel,
		{
			role,
			expected,
			introduction: introductionOf(node),
			isMember: (name) => name === 'alpha' || name === 'beta',
			secret: key,
			clock: { ...systemClock, after: () => () => undefined },
			handshakeMs: 5_000,
			pingEveryMs: 1_000,
			silenceMs: 3_000,
		},
		listener,
	);
	return made;
}

/** Carries everything both ways until nothing more comes; answers what went over. */
function carry(one: End, other: End, altered = (text: string): string => text): string[] {
	const carried: string[] = [];
	for (;;) {
		const [there, back] = [one.channel.sent.splice(0).map(altered), other.channel.sent.splice(0)];
		if (there.length + back.length === 0) return carried;
		for (const text of there) other.channel.receive(text);
		for (const text of back) one.channel.receive(text);
		carried.push(...there, ...back);
	}
}

describe('the handshake', () => {
	it('comes to one live link with the same id, whichever end dials', () => {
		for (const [dialer, acceptor] of [
			['alpha', 'beta'],
			['beta', 'alpha'],
		] as const) {
			const one = end(dialer, 'dialer', acceptor);
			const other = end(acceptor, 'acceptor', null);
			const carried = carry(one, other);
			assert.deepEqual([one.lives, other.lives], [1, 1]);
			assert.equal(one.link.id, other.link.id);
			assert.ok(!carried.some((text) => text.includes(secret.toString())), 'the secret is never sent');
		}
	});

	it('a hello with more in it than this build knows is understood, and none of that is kept', () => {
		const one = end('alpha', 'dialer', 'beta', null, 'beta');
		const other = end('beta', 'acceptor', null, null, 'alpha');
		carry(one, other, (text) => text.replace('"protocol":{', '"later":{"__proto__":1},"protocol":{"best":9,'));
		assert.deepEqual([one.lives, other.lives], [1, 1]);
		assert.deepEqual(Object.keys(other.link.peer ?? {}), Object.keys(one.link.peer ?? {}));
		assert.deepEqual(other.link.peer?.protocol, one.link.peer?.protocol);
	});

	it('the hello fits version 1, which refuses fields beyond it', () => {
		const taken = z.fromJSONSchema(version1.handshake);
		for (const text of carry(end('alpha', 'dialer', 'beta'), end('beta', 'acceptor', null)))
			assert.ok(taken.safeParse(JSON.parse(text)).success, text);
	});

	it('with another secret, neither end goes live', () => {
		const one = end('alpha', 'dialer', 'beta', Buffer.from('some other secret'));
		const other = end('beta', 'acceptor', null);
		carry(one, other);
		assert.deepEqual([one.lives, other.lives], [0, 0]);
		assert.match(other.channel.closedFor ?? '', /shared secret/);
	});

	it('what was overheard cannot be played again', () => {
		const overheard = carry(end('alpha', 'dialer', 'beta'), end('beta', 'acceptor', null));
		const fresh = end('beta', 'acceptor', null);
		for (const text of overheard) fresh.channel.receive(text);
		const dialing = end('alpha', 'dialer', 'beta');
		for (const text of overheard) dialing.channel.receive(text);
		assert.deepEqual([fresh.lives, dialing.lives], [0, 0]);
	});

	it('a node that is made to talk to itself proves nothing', () => {
		const dialing = end('alpha', 'dialer', 'beta');
		const accepting = end('alpha', 'acceptor', null);
		carry(dialing, accepting);
		const mirrored = end('alpha', 'dialer', 'beta');
		for (let round = 0; round < 4; round++)
			for (const text of mirrored.channel.sent.splice(0))
				mirrored.channel.receive(
					text.replace('"node":"alpha"', '"node":"beta"').replace('"to":"beta"', '"to":"alpha"'),
				);
		assert.deepEqual([dialing.lives, accepting.lives, mirrored.lives], [0, 0, 0]);
	});

	it('with certificates, the name of the hello must be the certificate’s', () => {
		const good = end('beta', 'acceptor', null, null, 'alpha');
		carry(end('alpha', 'dialer', 'beta', null, 'beta'), good);
		assert.equal(good.lives, 1);
		const bad = end('beta', 'acceptor', null, null, 'gamma');
		carry(end('alpha', 'dialer', 'beta', null, 'beta'), bad);
		assert.equal(bad.lives, 0);
		assert.match(bad.channel.closedFor ?? '', /certificate names gamma/);
	});

	it('whatever a stranger says in whatever order, it never goes live and no frame of it is heard', () => {
		const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
		const hello = fc.record({
			type: fc.constant('hello'),
			protocol: fc.constantFrom({ min: 1, max: 1 }, { min: 1, max: 9 }, { min: 7, max: 9 }),
			...Object.fromEntries(Object.entries(introductionOf('beta')).map(([key, value]) => [key, fc.constant(value)])),
			node: fc.constantFrom('alpha', 'beta', 'gamma'),
			to: fc.constantFrom('alpha', 'beta'),
			nonce: hex,
		});
		const proof = fc.record({ type: fc.constant('proof'), proof: hex });
		const adopt = fc.record({
			type: fc.constant('adopt'),
			link: fc.constantFrom('alpha.1.1', 'beta.1.1'),
			serial: fc.nat(3),
		});
		const message = fc.oneof(hello, proof, adopt, fc.constant({ kind: 'heartbeat' }), fc.jsonValue());
		const script = fc.array(
			message.map((value) => JSON.stringify(value)),
			{ maxLength: 6 },
		);
		fc.assert(
			fc.property(script, fc.constantFrom('alpha', 'beta'), fc.boolean(), (texts, node, dials) => {
				const peer = node === 'alpha' ? 'beta' : 'alpha';
				const victim = end(node, dials ? 'dialer' : 'acceptor', dials ? peer : null);
				for (const text of texts) victim.channel.receive(text);
				assert.deepEqual([victim.lives, victim.frames], [0, []]);
			}),
			{ numRuns: runs },
		);
	});
});
