import { EventEmitter } from 'node:events';
import { RollcallError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { RefusalLog } from '../../system/connections/refusal-log.js';
import type { NodeName } from '../../rollout/types.js';
import type { Clock } from '../clock.js';
import { type Introduction, Link, type LinkListener, type LinkRole } from './link.js';
import type { Cluster } from './membership.js';
import { addressOf, configuredAddresses, newPeer, noteRefusal, type Peer, whyDown } from './peer.js';
import { type Channel, dial, handshakeMs, type Listener, listen } from './websocket.js';
import type { Hello } from './handshake.js';

export interface LinksEvents {
	up: [{ node: NodeName; link: string; hello: Hello }];
	down: [{ node: NodeName; link: string; reason: string }];
	/** One frame of a live link, unchecked. */
	frame: [{ node: NodeName; link: string; text: string }];
}

export interface LinksOptions {
	/** null: this node stands alone; it neither listens nor dials. */
	cluster: Cluster | null;
	/** Asked at each handshake. */
	introduce(): Introduction;
	clock: Clock;
	logger: Logger;
	pingEveryMs: number;
	silenceMs: number;
}

/** How one peer stands. */
export interface PeerStatus {
	node: NodeName;
	url: string;
	/** null while it is down. */
	link: string | null;
	/** ms since 1970. */
	since: number | null;
	lastSeen: number | null;
	rttMs: number | null;
	/** ms that its clock is ahead; null while unknown. */
	clockOffsetMs: number | null;
	/** The latest proven hello, of this link or one before. */
	hello: Hello | null;
	/** Why there is no link, if known. */
	reason: string | null;
	sent: number;
	received: number;
	reconnects: number;
}

/** Connections of one address, beyond two for each peer: links are made anew before the old ones are gone. */
const spareOfOneMax = 32;
const backOffFirstMs = 50;
const backOffLastMs = 1_000;
/** Both ends dial at a start; the link that came second then loses. An older link loses against a newer: its other end is gone. */
const settleMs = 1_000;

/** Exactly one link to each peer, made again whenever it is lost. Both ends dial; the end whose name sorts first decides. */
export class Links extends EventEmitter<LinksEvents> {
	readonly #peers = new Map<NodeName, Peer>();
	readonly #unproven = new Set<Link>();
	readonly #refusals: RefusalLog;
	#cluster: Cluster | null;
	#listener: Listener | null = null;
	#serial = 0;
	#started = false;
	#closed = false;

	constructor(private readonly options: LinksOptions) {
		super();
		this.#cluster = options.cluster;
		this.#refusals = new RefusalLog('link', options.clock, options.logger);
		for (const { name, url } of options.cluster?.peers ?? []) this.#peers.set(name, newPeer(name, url));
	}

	/** Binds the address; refuses connections until {@link start}. Throws `address_in_use`. */
	async bind(): Promise<void> {
		if (this.#cluster && !this.#listener) this.#listener = await this.#listen(this.#cluster);
	}

	/** Listens, then dials everyone. Throws `address_in_use`. */
	async start(): Promise<void> {
		await this.bind();
		this.#started = true;
		for (const peer of this.#peers.values()) this.#dial(peer);
	}

	get port(): number {
		return this.#listener?.port ?? 0;
	}

	/** false when there is no link: nothing is kept for later. */
	send(node: NodeName, text: string): boolean {
		return this.#peers.get(node)?.live?.link.send(text) ?? false;
	}

	/** Closes the very link a bad frame came over; a later one is left alone. */
	closeLink(node: NodeName, id: string, reason: string): void {
		const live = this.#peers.get(node)?.live;
		if (live?.id === id) live.link.close(reason);
	}

	live(): { node: NodeName; id: string }[] {
		return [...this.#peers.values()].flatMap((peer) => (peer.live ? [{ node: peer.node, id: peer.live.id }] : []));
	}

	status(): PeerStatus[] {
		const { now, wall } = this.options.clock;
		// As far back from now as it was: the wall clock may have been set since.
		const wallAt = (at: number): number => Math.round(wall() - (now() - at));
		return [...this.#peers.values()].map((peer) => {
			const link = peer.live?.link;
			const seenAt = link?.lastHeard ?? peer.lastSeenAt;
			return {
				node: peer.node,
				url: peer.url,
				link: peer.live?.id ?? null,
				since: link?.since ?? null,
				lastSeen: seenAt === null ? null : wallAt(seenAt),
				rttMs: link?.rttMs ?? null,
				clockOffsetMs: link?.clockOffsetMs ?? null,
				hello: peer.hello,
				reason: whyDown(peer),
				sent: peer.sent + (link?.sent ?? 0),
				received: peer.received + (link?.received ?? 0),
				reconnects: Math.max(0, peer.links - 1),
			};
		});
	}

	/** Closes every link and dials again at once. */
	redialAll(reason: string): void {
		for (const peer of this.#peers.values()) {
			peer.attempts = 0;
			if (peer.live) peer.live.link.close(reason);
			else this.#dial(peer);
		}
	}

	/** Applies another configuration: added, removed and moved peers, new keys; other links stay. */
	async reconfigure(next: Cluster): Promise<void> {
		const before = this.#cluster;
		if (!before) throw new RollcallError('unavailable', 'This node was started without `cluster:`.');
		if (mustListenAnew(before, next)) {
			const samePort = before.listen.port === next.listen.port;
			if (samePort) this.#listener?.close();
			const previous = this.#listener;
			try {
				this.#listener = await this.#listen(next);
			} catch (error) {
				if (samePort) this.#listener = await this.#listen(before);
				throw error;
			}
			if (!samePort) previous?.close();
		} else if (next.tls) this.#listener?.renew(next.tls);
		this.#cluster = next;
		const wanted = new Map(next.peers.map((peer) => [peer.name, peer.url]));
		for (const peer of [...this.#peers.values()]) {
			const url = wanted.get(peer.node);
			if (url === undefined) this.#forget(peer);
			else if (url !== peer.url) this.#move(peer, url);
		}
		for (const [name, url] of wanted) {
			if (this.#peers.has(name)) continue;
			const peer = newPeer(name, url);
			this.#peers.set(name, peer);
			this.#dial(peer);
		}
	}

	close(): void {
		this.#closed = true;
		this.#listener?.close();
		for (const peer of this.#peers.values()) {
			this.#stopDialing(peer);
			peer.live?.link.close('the node stops');
		}
		for (const link of this.#unproven) link.close('the node stops');
	}

	#listen(cluster: Cluster): Promise<Listener> {
		return listen({
			...cluster.listen,
			tls: cluster.tls,
			ofOneMax: 2 * cluster.peers.length + spareOfOneMax,
			isKnown: (address) => [...this.#peers.values()].some((peer) => peer.addresses.has(address)),
			isMember: (name) => this.#peers.has(name),
			accepted: (channel) => this.#open(channel, 'acceptor', null),
			self: this.options.introduce().node,
			refused: (remote, reason, claims) => {
				this.#refusals.tell(remote, reason);
				this.#noteRefusal(claims, remote, reason);
			},
		});
	}

	#noteRefusal(name: NodeName | null | undefined, remote: string, reason: string): void {
		const peer = name ? this.#peers.get(name) : undefined;
		if (peer) noteRefusal(peer, remote, reason);
	}

	#forget(peer: Peer): void {
		this.#peers.delete(peer.node);
		this.#stopDialing(peer);
		peer.live?.link.close(`${peer.node} is no member any more`);
		if (peer.live) this.#lost(peer, 'it is no member any more');
	}

	#move(peer: Peer, url: string): void {
		this.#stopDialing(peer);
		peer.url = url;
		peer.addresses = configuredAddresses(url);
		peer.attempts = 0;
		if (peer.live) peer.live.link.close('its address changed');
		else this.#dial(peer);
	}

	#stopDialing(peer: Peer): void {
		peer.dialing?.cancel();
		peer.dialing = null;
		peer.cancelRetry?.();
		peer.cancelRetry = null;
	}

	#dial(peer: Peer): void {
		if (this.#closed || peer.live || peer.dialing || this.#peers.get(peer.node) !== peer) return;
		peer.cancelRetry?.();
		peer.cancelRetry = null;
		peer.attempts += 1;
		peer.dialing = dial(
			peer.url,
			peer.node,
			{ self: this.options.introduce().node, tls: this.#cluster?.tls ?? null },
			(channel) => {
				const link = this.#open(channel, 'dialer', peer);
				peer.dialing = { link, cancel: () => link?.close('another link is in use') };
			},
			(reason) => this.#dialFailed(peer, null, reason),
		);
	}

	#dialFailed(peer: Peer, link: Link | null, reason: string): void {
		if (link === null || peer.dialing?.link === link) peer.dialing = null;
		if (peer.live) return;
		// Logged once for each reason: attempts repeat for as long as the peer is away.
		if (peer.reason !== reason)
			this.options.logger.warn({ event: 'link_not_made', peer: peer.node, url: peer.url, reason });
		peer.reason = reason;
		this.#retry(peer);
	}

	#retry(peer: Peer): void {
		if (this.#closed || peer.live || peer.dialing || peer.cancelRetry || this.#peers.get(peer.node) !== peer) return;
		const { clock } = this.options;
		const longest = Math.min(backOffLastMs, backOffFirstMs * 2 ** Math.min(peer.attempts, 16));
		peer.cancelRetry = clock.after(longest * (0.5 + clock.random() / 2), () => {
			peer.cancelRetry = null;
			this.#dial(peer);
		});
	}

	#open(channel: Channel, role: LinkRole, peer: Peer | null): Link | null {
		if (this.#closed || !this.#started) {
			channel.close(this.#started ? 'the node stops' : 'this node is starting');
			return null;
		}
		const { clock, pingEveryMs, silenceMs } = this.options;
		const listener: LinkListener = {
			proven: (link) => this.#proven(link),
			accepts: (link, serial) => this.#accepts(link, serial),
			live: (link, serial) => this.#goLive(link, serial),
			frame: (link, text) => this.#frame(link, text),
			closed: (link, reason) => this.#linkClosed(link, peer, reason),
		};
		const terms = {
			role,
			expected: peer?.node ?? null,
			introduction: this.options.introduce(),
			isMember: (name: NodeName) => this.#peers.has(name),
			secret: this.#cluster?.secret ?? null,
			clock,
			handshakeMs,
			pingEveryMs,
			silenceMs,
		};
		const link = new Link(channel, terms, listener);
		this.#unproven.add(link);
		return link;
	}

	#peerOf(link: Link): Peer | undefined {
		return link.peer ? this.#peers.get(link.peer.node) : undefined;
	}

	#proven(link: Link): void {
		if (!link.decides) return;
		const peer = this.#peerOf(link);
		if (!peer) {
			link.close('no member any more');
			return;
		}
		if (this.#staysBehind(peer, link)) {
			link.close('another link is in use');
			return;
		}
		this.#serial += 1;
		link.adopt(this.#serial);
	}

	#staysBehind(peer: Peer, link: Link): boolean {
		if (!peer.live || peer.live.link.peer?.boot !== link.peer?.boot) return false;
		return link.role === 'dialer' || this.options.clock.now() - peer.live.since < settleMs;
	}

	#accepts(link: Link, serial: number): boolean {
		const peer = this.#peerOf(link);
		if (!peer) return false;
		const live = peer.live;
		return !live || live.serial < serial || live.link.peer?.boot !== link.peer?.boot;
	}

	#goLive(link: Link, serial: number): void {
		const { id, peer: hello } = link;
		const peer = this.#peerOf(link);
		if (id === null || hello === null || !peer) return;
		const previous = peer.live;
		if (previous) this.#lost(peer, 'a newer link took its place');
		this.#unproven.delete(link);
		peer.live = { link, id, serial, since: this.options.clock.now() };
		previous?.link.close('a newer link took its place');
		peer.hello = hello;
		peer.reason = null;
		peer.refused = null;
		peer.links += 1;
		peer.addresses = configuredAddresses(peer.url).add(addressOf(link.remote));
		this.#stopOtherDial(peer, link);
		this.options.logger.info({ event: 'link_up', peer: peer.node, link: id, role: link.role, remote: link.remote });
		this.emit('up', { node: peer.node, link: id, hello });
	}

	#stopOtherDial(peer: Peer, link: Link): void {
		peer.cancelRetry?.();
		peer.cancelRetry = null;
		const dialing = peer.dialing;
		peer.dialing = null;
		if (link.role === 'acceptor') dialing?.cancel();
	}

	#frame(link: Link, text: string): void {
		const peer = this.#peerOf(link);
		if (peer?.live?.link === link) this.emit('frame', { node: peer.node, link: peer.live.id, text });
	}

	#linkClosed(link: Link, dialed: Peer | null, reason: string): void {
		this.#unproven.delete(link);
		const peer = dialed ?? this.#peerOf(link);
		if (peer?.live?.link === link) {
			this.#lost(peer, reason);
			this.#retry(peer);
			return;
		}
		if (dialed) this.#dialFailed(dialed, link, reason);
		else {
			this.options.logger.debug({ event: 'link_refused', peer: link.peer?.node, remote: link.remote, reason });
			this.#noteRefusal(link.peer?.node, link.remote, reason);
		}
	}

	#lost(peer: Peer, reason: string): void {
		const live = peer.live;
		if (!live) return;
		const { clock, logger } = this.options;
		peer.live = null;
		peer.reason = reason;
		peer.sent += live.link.sent;
		peer.received += live.link.received;
		peer.lastSeenAt = live.link.lastHeard;
		// A link that stood for a while was no failure to connect: the next attempt may come soon.
		if (clock.now() - live.since > backOffLastMs) peer.attempts = 0;
		logger.info({ event: 'link_down', peer: peer.node, link: live.id, reason });
		this.emit('down', { node: peer.node, link: live.id, reason });
	}
}

function mustListenAnew(before: Cluster, next: Cluster): boolean {
	const { host, port } = before.listen;
	return host !== next.listen.host || port !== next.listen.port || (before.tls === null) !== (next.tls === null);
}
