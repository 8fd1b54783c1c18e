/** The eleven attributes of `system_information`, in the order that answers and messages name them. */
export const systemAttributes = [
	'system',
	'time',
	'cpu',
	'memory',
	'disk',
	'network',
	'harperdb_processes',
	'table_size',
	'metrics',
	'threads',
	'replication',
] as const;

export type SystemAttribute = (typeof systemAttributes)[number];

export function isSystemAttribute(name: unknown): name is SystemAttribute {
	return (systemAttributes as readonly unknown[]).includes(name);
}
