/// A number for every tenant, and others for some. Jobs without a tenant are those of one.
package struct TenantCeiling: Sendable, Equatable {
    /// Nil: there is none.
    package var everybody: Int?
    package var own: [String: Int]

    package init(everybody: Int? = nil, own: [String: Int] = [:]) {
        self.everybody = everybody
        self.own = own
    }

    func of(_ tenant: String?) -> Int? { tenant.flatMap { own[$0] } ?? everybody }
}
