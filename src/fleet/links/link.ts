import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { NodeName } from '../../rollout/types.js';
import type { Clock } from '../clock.js';
import { beatsBetweenClockPings, ClockOffset, clockPing } from './clock-offset.js';
import type { Channel } from './websocket.js';
import {
	type HandshakeMessage,
	type Hello,
	handshakeCharactersMax,
	handshakeMessage,
	parseFrame,
	protocolVersions,
} from './handshake.js';

/** What this node says of itself in every hello. */
export type Introduction = Omit<Hello, 'type' | 'protocol' | 'to' | 'nonce'>;

export type LinkRole = 'dialer' | 'acceptor';

export interface LinkTerms {
	role: LinkRole;
	/** Whom was dialed; null on the accepting side. */
	expected: NodeName | null;
	introduction: Introduction;
	isMember(name: NodeName): boolean;
	/** Shared secret; null when certificates prove the names. */
	secret: Buffer | null;
	clock: Clock;
	handshakeMs: number;
	pingEveryMs: number;
	/** Nothing heard for so long: the link is taken for dead. */
	silenceMs: number;
}

export interface LinkListener {
	/** Both ends are proven. The node whose name sorts first then calls {@link Link.adopt} or closes it. */
	proven(link: Link): void;
	/** The other end says that this is the pair's link; answer false when a later one is known. */
	accepts(link: Link, serial: number): boolean;
	/** It is the pair's link from now on, on this end. */
	live(link: Link, serial: number): void;
	frame(link: Link, text: string): void;
	closed(link: Link, reason: string): void;
}

type Phase =
	| { name: 'hello' }
	| { name: 'proof'; peer: Hello }
	| { name: 'proven'; peer: Hello }
	| { name: 'live'; peer: Hello; id: string }
	| { name: 'closed'; peer: Hello | null };

/**
 * One connection to a peer, from the first byte to the last. The dialer speaks first:
 * hello → ← hello · proof → ← proof · then whoever's name sorts first adopts it. Each proof is an HMAC over the prover's
 * role and both hellos (names, nonces and all), so none can be replayed, reflected or used between other nodes.
 */
export class Link {
	#phase: Phase = { name: 'hello' };
	#sentHello = '';
	#receivedHello = '';
	#lastHeard: number;
	#stopTimer: () => void;
	#pingSequence = 0;
	#pingSentAt = 0;
	#beatDue = Number.POSITIVE_INFINITY;
	#beats = 0;
	readonly #clockOffset = new ClockOffset();
	rttMs: number | null = null;
	sent = 0;
	received = 0;
	/** ms since 1970 of going live. */
	since: number | null = null;

	constructor(
		private readonly channel: Channel,
		private readonly terms: LinkTerms,
		private readonly listener: LinkListener,
	) {
		this.#lastHeard = terms.clock.now();
		this.#stopTimer = terms.clock.after(terms.handshakeMs, () =>
			this.close(`the handshake took longer than ${terms.handshakeMs} ms`),
		);
		channel.listen({
			message: (text) => this.#message(text),
			ping: (text) => this.#ping(text),
			pong: (text) => this.#pong(text),
			closed: (reason) => this.#closed(reason),
		});
		if (terms.role === 'dialer' && terms.expected !== null) this.#sendHello(terms.expected);
	}

	get role(): LinkRole {
		return this.terms.role;
	}
	get remote(): string {
		return this.channel.remote;
	}
	/** What the other end said of itself; null before it said hello. To be believed only once `proven` was called. */
	get peer(): Hello | null {
		return this.#phase.name === 'hello' ? null : this.#phase.peer;
	}
	/** The same on both ends, and never used again; null until it is the pair's link. */
	get id(): string | null {
		return this.#phase.name === 'live' ? this.#phase.id : null;
	}
	/** ms on the node's monotonic clock. */
	get lastHeard(): number {
		return this.#lastHeard;
	}
	/** ms that the clock of the other end is ahead of this one's; null while unknown. */
	get clockOffsetMs(): number | null {
		return this.#clockOffset.ms;
	}
	/** True on the end that says which of two links stays. */
	get decides(): boolean {
		return this.peer !== null && this.terms.introduction.node < this.peer.node;
	}

	/** Makes this the pair's link. `serial` grows with each adoption within a boot. */
	adopt(serial: number): void {
		if (this.#phase.name !== 'proven') return;
		const { node, boot } = this.terms.introduction;
		const id = `${node}.${boot}.${serial}`;
		this.#sendHandshake({ type: 'adopt', link: id, serial });
		this.#goLive(this.#phase.peer, id, serial);
	}

	send(text: string): boolean {
		if (this.#phase.name !== 'live') return false;
		this.sent += 1;
		this.channel.send(text);
		return true;
	}

	close(reason: string): void {
		this.channel.close(reason);
	}

	#message(text: string): void {
		this.#lastHeard = this.terms.clock.now();
		if (this.#phase.name === 'live') {
			this.received += 1;
			this.listener.frame(this, text);
			return;
		}
		if (text.length > handshakeCharactersMax) {
			this.close('a handshake message is too long');
			return;
		}
		const parsed = parseFrame(handshakeMessage, text);
		if (!parsed.ok) {
			this.close(parsed.reason);
			return;
		}
		this.#handshake(parsed.value, text);
	}

	#handshake(message: HandshakeMessage, text: string): void {
		const phase = this.#phase;
		switch (message.type) {
			case 'hello':
				if (phase.name !== 'hello') {
					this.close('a second hello');
					return;
				}
				this.#hello(message, text);
				return;
			case 'proof':
				if (phase.name !== 'proof') {
					this.close('an unexpected proof');
					return;
				}
				this.#proof(phase.peer, message.proof);
				return;
			case 'adopt':
				if (phase.name !== 'proven' || this.decides) {
					this.close('an adoption out of turn');
					return;
				}
				if (!message.link.startsWith(`${phase.peer.node}.${phase.peer.boot}.`)) {
					this.close('an adoption in a foreign name');
					return;
				}
				if (!this.listener.accepts(this, message.serial)) {
					this.close('a later link is in use');
					return;
				}
				this.#goLive(phase.peer, message.link, message.serial);
				return;
			default:
				message satisfies never;
		}
	}

	#hello(hello: Hello, text: string): void {
		const fault = this.#faultOf(hello);
		if (fault !== null) {
			this.close(fault);
			return;
		}
		this.#receivedHello = text;
		if (this.terms.role === 'acceptor') this.#sendHello(hello.node);
		if (this.terms.secret === null) {
			this.#phase = { name: 'proven', peer: hello };
			this.listener.proven(this);
			return;
		}
		this.#phase = { name: 'proof', peer: hello };
		if (this.terms.role === 'dialer') this.#sendProof(this.terms.secret);
	}

	#faultOf(hello: Hello): string | null {
		const self = this.terms.introduction.node;
		const { expected, secret } = this.terms;
		if (hello.to !== self) return `this is ${self}, not ${hello.to}: check the address of ${hello.to} in cluster.peers`;
		if (expected !== null && hello.node !== expected)
			return `this address belongs to ${hello.node}, not to ${expected}`;
		if (hello.node === self) return `another node calls itself ${self}, too: each node needs a name of its own`;
		if (!this.terms.isMember(hello.node))
			return `${hello.node} is no member in the configuration of ${self}: cluster.peers lacks it`;
		const certified = this.channel.certifiedName;
		if ((secret === null || certified !== null) && certified !== hello.node)
			return `the certificate names ${certified ?? 'no node'}, the hello ${hello.node}`;
		return null;
	}

	#proof(peer: Hello, received: string): void {
		const { secret, role } = this.terms;
		if (secret === null) return;
		const theirs = role === 'dialer' ? 'acceptor' : 'dialer';
		if (!timingSafeEqual(Buffer.from(received, 'hex'), this.#prove(secret, theirs))) {
			this.close(`the shared secret of ${peer.node} is not the one of ${this.terms.introduction.node}`);
			return;
		}
		if (role === 'acceptor') this.#sendProof(secret);
		this.#phase = { name: 'proven', peer };
		this.listener.proven(this);
	}

	#prove(secret: Buffer, prover: LinkRole): Buffer {
		const dialerHello = this.terms.role === 'dialer' ? this.#sentHello : this.#receivedHello;
		const acceptorHello = this.terms.role === 'dialer' ? this.#receivedHello : this.#sentHello;
		return createHmac('sha256', secret)
			.update(JSON.stringify(['rollcall link 1', prover, dialerHello, acceptorHello]))
			.digest();
	}

	#sendProof(secret: Buffer): void {
		this.#sendHandshake({ type: 'proof', proof: this.#prove(secret, this.terms.role).toString('hex') });
	}

	#sendHello(to: NodeName): void {
		const nonce = randomBytes(32).toString('hex');
		this.#sentHello = JSON.stringify({
			type: 'hello',
			protocol: protocolVersions,
			...this.terms.introduction,
			to,
			nonce,
		} satisfies Hello);
		this.channel.send(this.#sentHello);
	}

	#sendHandshake(message: HandshakeMessage): void {
		this.channel.send(JSON.stringify(message));
	}

	#goLive(peer: Hello, id: string, serial: number): void {
		this.#stopTimer();
		this.#phase = { name: 'live', peer, id };
		this.channel.keep();
		this.since = this.terms.clock.wall();
		this.#beat();
		this.listener.live(this, serial);
	}

	/** One end pings and tells the round trip it measured; the other end hears the pings: half the frames for the same knowledge. */
	#beat(): void {
		const { clock, pingEveryMs, silenceMs } = this.terms;
		const now = clock.now();
		// A beat that comes late means that this process stood still: what arrived meanwhile has not been read yet.
		const stoodStill = now - this.#beatDue > pingEveryMs;
		const silentMs = now - this.#lastHeard;
		if (silentMs >= silenceMs && !stoodStill) {
			this.close(`nothing was heard for ${Math.round(silentMs)} ms`);
			return;
		}
		if (this.decides) {
			this.#pingSequence += 1;
			this.#pingSentAt = now;
			this.channel.ping(`${this.#pingSequence} ${this.rttMs === null ? '-' : this.rttMs.toFixed(3)}`);
		}
		// Twice at the start, since one alone is not enough to go by.
		if (this.#beats < 2 || this.#beats % beatsBetweenClockPings === 0) this.channel.ping(clockPing(clock.wall()));
		this.#beats += 1;
		// On whole multiples, so that all links of this node beat at once: one wake-up instead of one for each peer.
		const toNext = pingEveryMs - (now % pingEveryMs);
		const waitMs = toNext < pingEveryMs / 2 ? toNext + pingEveryMs : toNext;
		this.#beatDue = now + waitMs;
		this.#stopTimer = clock.after(waitMs, () => this.#beat());
	}

	#ping(text: string): void {
		this.#lastHeard = this.terms.clock.now();
		if (this.#phase.name === 'live') this.#clockOffset.hear(text, this.terms.clock.wall());
		const rtt = /^\d{1,15} (\d{1,9}\.\d{3})$/.exec(text)?.[1];
		if (!this.decides && rtt !== undefined) this.rttMs = Number(rtt);
	}

	#pong(text: string): void {
		const now = this.terms.clock.now();
		this.#lastHeard = now;
		if (text.startsWith(`${this.#pingSequence} `)) this.rttMs = now - this.#pingSentAt;
	}

	#closed(reason: string): void {
		this.#stopTimer();
		if (this.#phase.name === 'closed') return;
		this.#phase = { name: 'closed', peer: this.peer };
		this.listener.closed(this, reason);
	}
}
