import { EventEmitter } from 'node:events';
import { RollcallError } from '../../errors.js';
import { isUsername, passwordLengthMin, usernameRule } from '../../operations/rows/usernames.js';
import { ApiTokenStore } from './api-tokens.js';
import { type AccessChanges, Credentials } from './credentials.js';
import { defaultCost, type PasswordCost, Passwords } from './passwords.js';
import { TokenIssuer } from './tokens.js';
import { UserStore } from './users.js';

/** Everything that says who may do what on this node. */
export interface Access {
	users: UserStore;
	tokens: TokenIssuer;
	apiTokens: ApiTokenStore;
	logins: Credentials;
}

export interface AccessOptions {
	/** Exists already, 0700. */
	stateDir: string;
	/** The values of ROLLCALL_ADMIN_USERNAME and ROLLCALL_ADMIN_PASSWORD. */
	admin: { username: string | undefined; password: string | undefined };
	/** ms since 1970, by which tokens end; only tests give one. */
	now?: () => number;
	cost?: PasswordCost;
}

/** Opens users and keys; makes the first super_user if there is no user and both parts of one are given. */
export async function openAccess(options: AccessOptions): Promise<Access> {
	const now = options.now ?? Date.now;
	// A clock that is set back must not keep anybody out for longer, nor one that is set forward let guesses in sooner.
	const elapsed = options.now ?? (() => performance.now());
	const passwords = new Passwords(options.cost ?? defaultCost);
	const changes: AccessChanges = new EventEmitter();
	// One for each caller that follows, whose number the server bounds.
	changes.setMaxListeners(0);
	const changed = (): void => void changes.emit('changed');
	const users = await UserStore.open(options.stateDir, { passwords, changed });
	const tokens = await TokenIssuer.open(options.stateDir, users, now);
	const apiTokens = await ApiTokenStore.open(options.stateDir, { now, changed });
	await addFirstUser(users, options.admin);
	const logins = new Credentials({ users, passwords, tokens, apiTokens, changes, now: elapsed });
	return { users, tokens, apiTokens, logins };
}

async function addFirstUser(users: UserStore, { username, password }: AccessOptions['admin']): Promise<void> {
	if (!username && !password) return;
	if (!username || !password) {
		throw new RollcallError(
			'configuration',
			`${username ? 'ROLLCALL_ADMIN_PASSWORD' : 'ROLLCALL_ADMIN_USERNAME'} is missing: set both or neither.`,
		);
	}
	if (!isUsername(username)) throw new RollcallError('configuration', `ROLLCALL_ADMIN_USERNAME ${usernameRule}.`);
	if (users.size > 0) return;
	if (password.length < passwordLengthMin) {
		throw new RollcallError(
			'configuration',
			`ROLLCALL_ADMIN_PASSWORD must have at least ${passwordLengthMin} characters.`,
		);
	}
	await users.add({ username, password, role: 'super_user', active: true });
}
