import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { z } from '../../zod.js';
import { messageOf, RollcallError } from '../../errors.js';
import { removeLeftovers, replaceFile } from '../../system/files/replace-file.js';
import { type Role, roles, type UserRow, type Users } from '../../operations/types.js';
import { isStoredPassword, type Passwords } from './passwords.js';
import { readSecretFile } from './secret-file.js';

/** A user as stored. */
export interface StoredUser extends UserRow {
	/** scrypt, see passwords.ts. */
	password: string;
	/** New with every password and every deactivation: what was issued for another generation is void. */
	generation: string;
}

const storedUsers = z.strictObject({
	version: z.literal(1),
	users: z.array(
		z.strictObject({
			username: z.string().min(1),
			role: z.enum(roles),
			active: z.boolean(),
			password: z.string().refine(isStoredPassword, 'not a stored password'),
			generation: z.string().min(1),
		}),
	),
});

/** Users and changes that may wait at once, so that neither file nor memory grows without bound. */
const usersMax = 1_000;
const changesWaitingMax = 32;

interface UserStoreParts {
	passwords: Passwords;
	changed: () => void;
}

/** The users of this node, in `<state_dir>/users.json`. A change is on disk before it is seen. */
export class UserStore implements Users {
	readonly #path: string;
	readonly #passwords: Passwords;
	/** Changes happen one at a time: each is judged by the users that the one before it left. */
	readonly #changes = new PQueue({ concurrency: 1 });
	#users: ReadonlyMap<string, StoredUser>;

	/** Called after each change. */
	readonly #changed: () => void;

	private constructor(path: string, { passwords, changed }: UserStoreParts, users: ReadonlyMap<string, StoredUser>) {
		this.#path = path;
		this.#passwords = passwords;
		this.#changed = changed;
		this.#users = users;
	}

	static async open(stateDir: string, parts: UserStoreParts): Promise<UserStore> {
		const path = join(stateDir, 'users.json');
		await removeLeftovers(path);
		const content = await readSecretFile(path);
		const users = content === null ? [] : parseUsers(path, content.toString('utf8'));
		return new UserStore(path, parts, new Map(users.map((user) => [user.username, user])));
	}

	get size(): number {
		return this.#users.size;
	}

	find(username: string): StoredUser | undefined {
		return this.#users.get(username);
	}

	list(): UserRow[] {
		return [...this.#users.values()].map(({ username, role, active }) => ({ username, role, active }));
	}

	/** The row of `system_information` `table_size`. */
	store(): { table: string; record_count: number; table_size: number } {
		return { table: 'users', record_count: this.#users.size, table_size: Buffer.byteLength(serialize(this.#users)) };
	}

	async add(user: { username: string; password: string; role: Role; active: boolean }): Promise<void> {
		await this.#change(async (users) => {
			if (users.has(user.username)) throw new RollcallError('conflict', `User '${user.username}' already exists`);
			if (users.size >= usersMax) throw new RollcallError('conflict', `There are ${usersMax} users already`);
			const password = await this.#passwords.hash(user.password);
			users.set(user.username, { ...user, password, generation: randomUUID() });
		});
	}

	async alter(
		username: string,
		change: { password?: string | undefined; role?: Role | undefined; active?: boolean | undefined },
	): Promise<void> {
		await this.#change(async (users) => {
			const user = found(users, username);
			const active = change.active ?? user.active;
			const outdated = change.password !== undefined || !active;
			const altered: StoredUser = {
				username,
				role: change.role ?? user.role,
				active,
				password: change.password === undefined ? user.password : await this.#passwords.hash(change.password),
				generation: outdated ? randomUUID() : user.generation,
			};
			users.set(username, altered);
			requireSuperUser(this.#users, users, username);
		});
	}

	async drop(username: string): Promise<void> {
		await this.#change(async (users) => {
			found(users, username);
			users.delete(username);
			requireSuperUser(this.#users, users, username);
		});
	}

	async #change(work: (users: Map<string, StoredUser>) => Promise<void>): Promise<void> {
		if (this.#changes.size >= changesWaitingMax) {
			throw new RollcallError('unavailable', 'Too many changes of users are waiting; try again in a few seconds.');
		}
		await this.#changes.add(async () => {
			const users = new Map(this.#users);
			await work(users);
			try {
				await replaceFile(this.#path, serialize(users));
			} catch (cause) {
				throw new RollcallError('unavailable', `${this.#path} cannot be written: ${messageOf(cause)}`, {}, { cause });
			}
			this.#users = users;
			this.#changed();
		});
	}
}

const serialize = (users: ReadonlyMap<string, StoredUser>): string =>
	`${JSON.stringify({ version: 1, users: [...users.values()] }, null, '\t')}\n`;

function found(users: ReadonlyMap<string, StoredUser>, username: string): StoredUser {
	const user = users.get(username);
	if (!user) throw new RollcallError('not_found', `User '${username}' not found`);
	return user;
}

/** Refuses to lock out the last super_user: the node could not be administered over the network any more. */
function requireSuperUser(
	before: ReadonlyMap<string, StoredUser>,
	after: ReadonlyMap<string, StoredUser>,
	username: string,
): void {
	const isSuper = (user: StoredUser): boolean => user.active && user.role === 'super_user';
	if (![...before.values()].some(isSuper) || [...after.values()].some(isSuper)) return;
	throw new RollcallError(
		'conflict',
		`'${username}' is the last active super_user; make another one first (add_user or alter_user)`,
	);
}

function parseUsers(path: string, text: string): StoredUser[] {
	try {
		return storedUsers.parse(JSON.parse(text)).users;
	} catch (cause) {
		// The parser's own message may quote the file, and the file holds hashes.
		throw new RollcallError(
			'configuration',
			`${path} is damaged, or of a later build. Start that build, put a copy of the file back, or remove it and add the users again over the admin socket.`,
			{},
			{ cause: new Error(cause instanceof z.ZodError ? 'not of the expected shape' : 'not JSON') },
		);
	}
}
