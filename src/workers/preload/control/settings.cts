import paths = require('../paths.cjs');
import type { PreloadSettings } from '../../connection/control.js';

/**
 * Takes the settings out of the environment, so that neither the app nor a child of it ever sees them. In a plain
 * cluster worker they stand in a variable of their own; PM2 packs a worker's whole environment into the variable
 * `pm2_env` as JSON, which its container spreads out after this, so they are cut out of that JSON.
 */
function takeSettings(environment: NodeJS.ProcessEnv): PreloadSettings | null {
	const direct = environment[paths.preloadVariable];
	delete environment[paths.preloadVariable];
	const packed = environment['pm2_env'];
	const fromPack = packed?.includes(paths.preloadVariable) ? takeFromPack(packed) : null;
	if (fromPack !== null) environment['pm2_env'] = fromPack.rest;
	const text = fromPack?.settings ?? direct;
	return text === undefined ? null : parse(text);
}

function takeFromPack(packed: string): { settings: string | undefined; rest: string } {
	const pack = JSON.parse(packed) as Record<string, unknown>;
	let settings = pack[paths.preloadVariable];
	delete pack[paths.preloadVariable];
	const nested = pack['env'];
	if (typeof nested === 'object' && nested !== null && paths.preloadVariable in nested) {
		settings ??= (nested as Record<string, unknown>)[paths.preloadVariable];
		delete (nested as Record<string, unknown>)[paths.preloadVariable];
	}
	return { settings: typeof settings === 'string' ? settings : undefined, rest: JSON.stringify(pack) };
}

function parse(text: string): PreloadSettings | null {
	try {
		const settings = JSON.parse(text) as PreloadSettings;
		return typeof settings.id === 'string' && typeof settings.directory === 'string' ? settings : null;
	} catch {
		return null;
	}
}

export = takeSettings;
