import type { Socket } from 'node:net';
import type { Logger } from '../../log.js';
import type { PeerReader } from '../../system/connections/peer-credentials.js';
import { UserNames } from '../../system/user-names.js';

/** Who speaks over the admin socket. `uid` null: the kernel does not say, and then no name is made up. */
export interface SocketUser {
	user: string;
	uid: number | null;
}

export const unknownSocketUser: SocketUser = { user: 'socket', uid: null };

/** Names the callers of the admin socket by what the kernel says of their connections. */
export class SocketUsers {
	/** By connection: what the kernel has recorded of it does not change. */
	readonly #uids = new WeakMap<Socket, number | null>();
	readonly #names = new UserNames();
	/** Each reason is logged once. */
	readonly #reasons = new Set<string>();

	constructor(
		private readonly readPeer: PeerReader,
		private readonly logger: Logger,
	) {}

	/** At once for a user of /etc/passwd. */
	of(socket: Socket): SocketUser | Promise<SocketUser> {
		let uid = this.#uids.get(socket);
		if (uid === undefined) {
			uid = this.#read(socket);
			this.#uids.set(socket, uid);
		}
		if (uid === null) return unknownSocketUser;
		const known = uid;
		const name = this.#names.nameOf(known);
		return typeof name === 'string' ? { user: name, uid } : name.then((user) => ({ user, uid: known }));
	}

	#read(socket: Socket): number | null {
		const peer = this.readPeer(socket);
		if (typeof peer !== 'string') return peer.uid;
		if (!this.#reasons.has(peer)) {
			this.#reasons.add(peer);
			const text = `callers of the admin socket have no name: ${peer}`;
			this.logger.warn({ event: 'socket_user_unknown', reason: peer }, text);
		}
		return null;
	}
}
