import { execFile } from 'node:child_process';
import { readText } from './proc/read-text.js';

const namesMax = 1_000;
/** How long a name counts: a user may be renamed or removed. */
const freshMs = 60_000;
const askTimeoutMs = 2_000;
/** A name that could be misread in a log or list is shown as its number instead. */
const plainName = /^[\p{L}\p{N}_][\p{L}\p{N}_.@\\-]{0,63}\$?$/u;

/** Names of this host's users by number: /etc/passwd, then what else the system asks (getent(1)). Each is looked up at most once a minute. */
export class UserNames {
	readonly #names = new Map<number, { name: string; until: number }>();
	/** Callers who come at once are answered by one look. */
	readonly #asking = new Map<number, Promise<string>>();

	/** `uid N` for a number that has no name. At once where no other program must be asked. */
	nameOf(uid: number): string | Promise<string> {
		const known = this.#names.get(uid);
		if (known && known.until > performance.now()) return known.name;
		const local = nameIn(readText('/etc/passwd') ?? '', uid);
		if (local !== null) return this.#remember(uid, local);
		let asked = this.#asking.get(uid);
		if (!asked) {
			asked = askSystem(uid).then((name) => this.#remember(uid, name ?? `uid ${uid}`));
			this.#asking.set(uid, asked);
			void asked.finally(() => this.#asking.delete(uid));
		}
		return asked;
	}

	#remember(uid: number, name: string): string {
		this.#names.delete(uid);
		this.#names.set(uid, { name, until: performance.now() + freshMs });
		const oldest = this.#names.keys().next();
		if (this.#names.size > namesMax && !oldest.done) this.#names.delete(oldest.value);
		return name;
	}
}

function askSystem(uid: number): Promise<string | null> {
	const options = { timeout: askTimeoutMs, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } };
	return new Promise((resolve) => {
		execFile('getent', ['passwd', String(uid)], options, (error, stdout) =>
			resolve(error ? null : nameIn(stdout, uid)),
		);
	});
}

function nameIn(users: string, uid: number): string | null {
	for (const line of users.split('\n')) {
		const [name = '', , id] = line.split(':');
		if (id === String(uid) && plainName.test(name)) return name;
	}
	return null;
}
