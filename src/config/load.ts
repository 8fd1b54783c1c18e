import { dirname, resolve } from 'node:path';
import { parseEnvironmentFile } from './apps.js';
import { type Conflict, findConflicts, runsInForkMode } from './checks/conflicts.js';
import { readSharedSecret } from './checks/cluster.js';
import { parseConfigurationDocument } from './document/yaml.js';
import { applyOverrides, type Override } from './overrides.js';
import { ConfigurationError, type ConfigurationFault, type KeyPath, keyText } from './document/faults.js';
import { checkTrustedFile, type FileKind, FileRefused, readTrustedFile } from './document/trusted-files.js';
import { issueFaults } from './document/issues.js';
import { nodeOptionsFault } from './checks/node-options.js';
import { defaultNodeName, resolveConfiguration } from './resolve.js';
import { type Config, configurationSchema } from './schema.js';
import { type ConfigurationSource, whereIs } from './document/source.js';

export interface LoadOptions {
	/** The configuration file; relative paths are of the working folder. */
	file: string;
	/** The environment that overrides come from. */
	env: NodeJS.ProcessEnv;
	/**
	 * Whether `user:` is possible; default: {@link isUnderSystemd} of `env`. Commands that only look at a configuration
	 * (validate, status) pass true, so that an operator's shell may read what is meant for the units.
	 */
	underSystemd?: boolean;
	/** A worker host runs as the app's user, who may not see the control plane's secrets: it passes `ignored`. */
	secretFiles?: 'checked' | 'ignored';
}

/** The configuration, and where it came from. */
export type LoadedConfig = Config & {
	source: {
		/** Absolute. */
		file: string;
		/** As it was read; it may hold what the apps keep secret. */
		text: string;
		/** What the environment gave instead of the file. */
		overrides: readonly Override[];
	};
};

/**
 * Reads, overrides, checks and resolves the configuration. Throws {@link ConfigurationError} (code `configuration`, exit
 * 2) with every fault that could be seen; nothing is ever started from a configuration that has one.
 */
export function loadConfig(options: LoadOptions): LoadedConfig {
	const file = resolve(options.file);
	return parseConfig(readConfigurationFile(file), { ...options, file });
}

/** As {@link loadConfig}, for a text that was read already (or is yet to be written) and would stand in `file`. */
export function parseConfig(text: string, options: LoadOptions): LoadedConfig {
	const file = resolve(options.file);
	const document = parseConfigurationDocument(file, text);
	const { data, overrides, faults } = applyOverrides(file, document.data, options.env);
	if (document.data === null && !overrides.some(({ path }) => path[0] === 'http_workers')) throw emptyFile(file);
	const source = { file, document, overrides, data };
	const parsed = configurationSchema.safeParse(data);
	if (!parsed.success) throw new ConfigurationError([...faults, ...issueFaults(source, parsed.error.issues)]);
	const config = resolveConfiguration(parsed.data, dirname(file));
	const conflicts = [
		...hostNameConflicts(config),
		...findConflicts(config, options.underSystemd ?? isUnderSystemd(options.env)),
		...(options.secretFiles === 'ignored' ? [] : fileConflicts(config)),
	];
	faults.push(...conflicts.map((conflict) => conflictFault(source, conflict)));
	if (faults.length > 0) throw new ConfigurationError(faults);
	return { ...config, source: { file, text, overrides } };
}

/**
 * Whether systemd started this process as a service. NOTIFY_SOCKET is of Type=notify alone; INVOCATION_ID is inherited by
 * whatever a service starts (cron, a terminal), so it counts only when SYSTEMD_EXEC_PID, where systemd gives it, is ours.
 */
export function isUnderSystemd(env: NodeJS.ProcessEnv): boolean {
	if (env['NOTIFY_SOCKET']) return true;
	if (!env['INVOCATION_ID']) return false;
	return env['SYSTEMD_EXEC_PID'] === undefined || env['SYSTEMD_EXEC_PID'] === String(process.pid);
}

function readConfigurationFile(file: string): string {
	try {
		return readTrustedFile(file, 'open');
	} catch (error) {
		if (!(error instanceof FileRefused)) throw error;
		const { expected, got, hint } = error.fault;
		const help = got.startsWith('nothing') ? 'rollcall init writes one; --config FILE names another' : hint;
		throw new ConfigurationError([
			{ file, line: null, column: null, variable: null, key: '', expected, got, hint: help },
		]);
	}
}

/** A file that was cut to nothing would remove every app. It is valid only if the environment configures the apps. */
function emptyFile(file: string): ConfigurationError {
	const hint = 'rollcall init writes one; a node without apps has at least node: {name: …} in its file';
	const place = { file, line: null, column: null, variable: null, key: '' };
	return new ConfigurationError([{ ...place, expected: 'a configuration', got: 'an empty file', hint }]);
}

function conflictFault(source: ConfigurationSource, conflict: Conflict): ConfigurationFault {
	const given = conflict.at.find((path) => {
		return (
			source.document.valueAt(path) !== null || source.overrides.some((one) => keyText(one.path) === keyText(path))
		);
	});
	const place = whereIs(source, given ?? conflict.at.at(-1) ?? []);
	const { expected, got, hint } = conflict;
	return { ...place, key: keyText(given ?? conflict.at[0] ?? []), expected, got, hint: hint ?? null };
}

/** Not every host name is a node name. */
function hostNameConflicts(config: Config): Conflict[] {
	if (configurationSchema.shape.node.safeParse({ name: config.node.name }).success) return [];
	return [
		{
			at: [['node', 'name']],
			expected: 'a name, since the host name is not one',
			got: JSON.stringify(defaultNodeName()),
		},
	];
}

/** Whether every file that the configuration names can be trusted. */
function fileConflicts(config: Config): Conflict[] {
	const conflicts: Conflict[] = [];
	const attempt = (path: KeyPath, check: () => unknown) => {
		try {
			check();
		} catch (error) {
			if (error instanceof FileRefused) conflicts.push({ at: [path], ...error.fault });
			else if (error instanceof ConfigurationError) conflicts.push(...error.faults.map((fault) => nested(path, fault)));
			else throw error;
		}
	};
	const trusted = (path: KeyPath, file: string | undefined, kind: FileKind) => {
		if (file !== undefined) attempt(path, () => checkTrustedFile(file, kind));
	};
	const { http } = config.operations_api;
	trusted(['operations_api', 'http', 'tls', 'cert'], http?.tls?.cert, 'open');
	trusted(['operations_api', 'http', 'tls', 'key'], http?.tls?.key, 'secret');
	for (const [index, app] of config.http_workers.entries()) {
		const { env_file: file } = app;
		const path = ['http_workers', index, 'env_file'];
		if (file === undefined) continue;
		attempt(path, () => {
			const { NODE_OPTIONS: options = '' } = parseEnvironmentFile(file);
			const fault = runsInForkMode(app) ? null : nodeOptionsFault(options);
			if (fault !== null) conflicts.push({ at: [path], ...fault });
		});
	}
	trusted(['cluster', 'tls', 'ca'], config.cluster?.tls?.ca, 'open');
	trusted(['cluster', 'tls', 'cert'], config.cluster?.tls?.cert, 'open');
	trusted(['cluster', 'tls', 'key'], config.cluster?.tls?.key, 'secret');
	for (const [index, { secret_file: file }] of config.rollout.notify.entries())
		attempt(['rollout', 'notify', index, 'secret_file'], () => readSharedSecret(file));
	const secret = config.cluster?.secret_file;
	if (secret !== undefined) attempt(['cluster', 'secret_file'], () => readSharedSecret(secret));
	return conflicts;
}

/** A fault inside a named file, told at the key that names it. */
function nested(path: KeyPath, fault: ConfigurationFault): Conflict {
	return { at: [path], expected: fault.expected, got: `${fault.got} in ${fault.file}:${fault.line ?? 1}` };
}
