import type { Server, Socket } from 'node:net';
import { addressKey, plainAddress } from './source-address.js';

/** Those who share one allowance: an address, an IPv6 /64, a member of the fleet. */
export interface Source {
	name: string;
	connectionsMax: number;
	/** Its connections are not among those that all others share, so strangers cannot take its places. */
	reserved: boolean;
}

export interface QuotaOptions {
	/** Connections of all sources that have no places of their own. */
	connectionsMax: number;
	/** Connections of one source. */
	ofOneMax: number;
	/** Whether this very address has places of its own. */
	isReserved?: (address: string) => boolean;
	/** Told of every connection that was closed for another one, or turned away. */
	refused: (remote: string, reason: string) => void;
}

interface Party extends Source {
	/** The least recently used one first. */
	connections: Set<Connection>;
}

interface Connection {
	socket: Socket;
	remote: string;
	party: Party;
	/** Grows with each use, over all connections. */
	used: number;
	isHeld: () => boolean;
}

const never = (): boolean => false;

/**
 * Bounds the connections of a listener so that no source keeps another out. When there is no place left, a newcomer takes
 * that of a connection which is not held: of the source that has most of them, the one that was not used for longest. A
 * connection is held while it does something for a caller who has proven who they are.
 */
export class ConnectionQuota {
	readonly #parties = new Map<string, Party>();
	readonly #connections = new WeakMap<object, Connection>();
	/** By the other end, to find the connection again once TLS has wrapped its socket. */
	readonly #byRemote = new Map<string, Connection>();
	#shared = 0;
	#uses = 0;

	constructor(private readonly options: QuotaOptions) {}

	/** Connections that are open now. */
	get size(): number {
		let size = 0;
		for (const { connections } of this.#parties.values()) size += connections.size;
		return size;
	}

	/** Judges every connection of this server from now on. */
	guard(server: Server): void {
		server.on('connection', (socket: Socket) => this.#enter(socket));
		server.on('secureConnection', (socket: Socket) => {
			const connection = this.#byRemote.get(remoteOf(socket));
			if (connection) this.#connections.set(socket, connection);
		});
	}

	/** It is used now, so others are let go before it. */
	use(socket: object): void {
		const connection = this.#connections.get(socket);
		if (!connection) return;
		this.#uses += 1;
		connection.used = this.#uses;
		const { connections } = connection.party;
		connections.delete(connection);
		connections.add(connection);
	}

	/** It is not let go for another one until `isOver`. */
	hold(socket: object, isOver: () => boolean = never): void {
		const connection = this.#connections.get(socket);
		if (connection) connection.isHeld = () => !isOver();
	}

	/** Who it is has been proven: from now on it counts among theirs. False, and it is closed, if they have no place left. */
	move(socket: object, source: Source): boolean {
		const connection = this.#connections.get(socket);
		if (!connection) return false;
		this.#leave(connection);
		return this.#take(connection, source);
	}

	#enter(socket: Socket): void {
		const remote = remoteOf(socket);
		this.#uses += 1;
		const source = this.#sourceOf(socket.remoteAddress);
		const connection: Connection = {
			socket,
			remote,
			party: { ...source, connections: new Set() },
			used: this.#uses,
			isHeld: never,
		};
		if (!this.#take(connection, source)) return;
		this.#connections.set(socket, connection);
		this.#byRemote.set(remote, connection);
		socket.once('close', () => {
			this.#leave(connection);
			if (this.#byRemote.get(remote) === connection) this.#byRemote.delete(remote);
		});
	}

	#sourceOf(address: string | undefined): Source {
		const { ofOneMax: connectionsMax, isReserved } = this.options;
		// A unix socket has no address: all who may write to it are one.
		if (address === undefined) return { name: 'socket', connectionsMax, reserved: false };
		const exact = plainAddress(address);
		if (isReserved?.(exact)) return { name: `the known address ${exact}`, connectionsMax, reserved: true };
		return { name: addressKey(address), connectionsMax, reserved: false };
	}

	#take(connection: Connection, source: Source): boolean {
		const party = this.#parties.get(source.name) ?? { ...source, connections: new Set() };
		if (party.connections.size >= source.connectionsMax && !this.#makeRoom([party])) {
			return this.#refuse(connection, `${source.name} has ${source.connectionsMax} connections open, all in use`);
		}
		const { connectionsMax } = this.options;
		if (!source.reserved && this.#shared >= connectionsMax && !this.#makeRoom(this.#sharing())) {
			return this.#refuse(connection, `${connectionsMax} connections are open, all in use`);
		}
		// Making room can have closed the last one of this source.
		this.#parties.set(party.name, party);
		connection.party = party;
		party.connections.add(connection);
		if (!party.reserved) this.#shared += 1;
		return true;
	}

	#leave(connection: Connection): void {
		const { party } = connection;
		if (!party.connections.delete(connection)) return;
		if (!party.reserved) this.#shared -= 1;
		if (party.connections.size === 0) this.#parties.delete(party.name);
	}

	#sharing(): Party[] {
		return [...this.#parties.values()].filter(({ reserved }) => !reserved);
	}

	/** Closes one connection of these; false when all are held. */
	#makeRoom(parties: readonly Party[]): boolean {
		let victim: Connection | null = null;
		for (const party of parties) {
			if (victim && party.connections.size < victim.party.connections.size) continue;
			const idle = leastUsed(party);
			if (!idle) continue;
			const isLarger = victim !== null && party.connections.size > victim.party.connections.size;
			if (victim === null || isLarger || idle.used < victim.used) victim = idle;
		}
		if (!victim) return false;
		const { name, connections } = victim.party;
		this.#leave(victim);
		return !this.#refuse(victim, `it gave its place to another: ${name} had ${connections.size + 1} connections open`);
	}

	#refuse({ socket, remote }: Connection, reason: string): false {
		this.options.refused(remote, reason);
		socket.destroy();
		return false;
	}
}

function leastUsed({ connections }: Party): Connection | null {
	for (const connection of connections) if (!connection.isHeld()) return connection;
	return null;
}

/** `address:port` of the other end. */
export function remoteOf(socket: { remoteAddress?: string | undefined; remotePort?: number | undefined }): string {
	return `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
}
