/// What customers say and what articles say: words of customer service that stand in for each other. They are of shops at large,
/// in English and Chinese; other subjects gain nothing from them and lose nothing.
enum Synonyms {
    /// The terms that stand in for `terms`, and how much each counts.
    static func of(_ terms: Set<UInt32>) -> [(hash: UInt32, weight: Float)] {
        var found: [(hash: UInt32, weight: Float)] = []
        for term in terms {
            for group in groupsOfTerm[term] ?? [] {
                // A word of several characters is there when all its pairs are.
                guard groups[group].contains(where: { $0.contains(term) && $0.hashes.isSubset(of: terms) }) else {
                    continue
                }
                for word in groups[group] where !word.hashes.isSubset(of: terms) {
                    found += word.terms.map { ($0.hash, $0.weight) }
                }
            }
        }
        return found
    }

    private struct Word {
        let terms: [(hash: UInt32, weight: Float)]
        let hashes: Set<UInt32>

        init(_ text: Substring) {
            var read: [PlainTerms.Term] = []
            PlainTerms.forEach(in: Array(text.utf8)[...]) { term, _ in read.append(term) }
            // Of characters the pairs say more than each by itself.
            if text.unicodeScalars.count > 1, !read.contains(where: \.isWord) {
                read = read.enumerated().filter { $0.offset > 0 && $0.offset % 2 == 0 }.map(\.element)
            }
            terms = read.map { ($0.hash, $0.isWord ? 1 : $0.weight) }
            hashes = Set(read.map(\.hash))
        }

        func contains(_ term: UInt32) -> Bool { hashes.contains(term) }
    }

    private static let groups: [[Word]] = (english + "\n" + chinese).split(separator: "\n").map { line in
        line.split(separator: " ").map { Word($0) }
    }

    private static let groupsOfTerm: [UInt32: [Int]] = {
        var places: [UInt32: [Int]] = [:]
        for (place, group) in groups.enumerated() {
            for term in group.reduce(into: Set<UInt32>(), { $0.formUnion($1.hashes) }) {
                places[term, default: []].append(place)
            }
        }
        return places
    }()

    private static let english = """
        refund reimburse money back repay repaid moneyback
        return back send
        exchange swap replace replacement instead
        cancel revoke withdraw undo abort stop
        buy bought purchase order ordered
        parcel package box packet carton delivery
        deliver ship send dispatch arrive arrival shipment shipping delivery
        courier driver postman carrier mailman deliveryman
        broken damaged cracked smashed shattered crushed dented torn scratched
        faulty defective defect fault broken malfunction stopped dead
        repair fix mend service repaired
        warranty guarantee covered coverage
        lost missing disappeared vanished stolen gone
        missing absent incomplete lacking
        part piece component accessory screw spare
        wrong incorrect mistaken mistake
        price cost fee charge expensive cheap cheaper
        discount off reduction reduced sale deal promotion
        voucher coupon code promo
        pay payment paid charge billed
        card credit debit visa mastercard
        installment instalment monthly
        invoice receipt bill
        tax duty duties vat customs import
        address street house flat moved home location
        track tracking trace status where
        late delay delayed overdue slow waiting
        time long days duration
        tomorrow express fast quick urgent overnight
        weekend saturday sunday holiday
        abroad overseas international foreign country
        size fit small large big tight loose
        colour color
        gift present birthday
        wrap wrapping wrapped ribbon
        greeting message note card text
        account profile login signin
        password passcode pin
        locked blocked lock
        phone number mobile cell
        email mail
        delete erase remove close
        data privacy personal information
        advertising ads advert marketing newsletter promotional spam
        complain complaint complaints unhappy dissatisfied angry rude
        manager supervisor boss
        employee staff team
        business company corporate firm office wholesale bulk
        stock available availability sold
        restock back again
        reserve hold held kept
        battery batteries power
        charger charging charge adapter
        plug socket outlet adapter
        voltage volt electricity
        plane flight aircraft flying airplane
        heavy bulky large oversize furniture sofa bed wardrobe
        stairs floor storey lift elevator upstairs
        sign signature signed
        id identity passport identification
        pickup collect collection locker counter
        collect pick
        door doorstep home
        neighbour neighbor reception
        photo picture image proof
        points reward rewards loyalty
        member membership level tier gold silver status
        logo print printed printing
        quote offer
        balance credit
        expire expired expiry valid
        cheaper less lower dropped fell drop
        competitor shop store elsewhere retailer
        match compare
        trousers pants jeans clothing clothes
        shoe shoes foot feet sneakers boots
        shop store website
        open opening hours
        ask enquire inquire contact reach
        app application
        download export copy
        change edit modify correct update alter
        choose select pick
        allowed permitted forbidden prohibited may
        limit maximum minimum most least
        free gratis nothing
        register signup join
        wash washing clean cleaning
        weigh weight kilo kilogram heavy
        fragile delicate
        proof receipt evidence
        second secondhand used refurbished
        """

    private static let chinese = """
        退款 退钱 还钱 到账 回款
        退货 退回 退掉 不要
        换货 更换 换成 换
        取消 撤销 撤掉 撤回 不买
        购买 买 下单 拍
        包裹 快件 快递 东西 货
        配送 送货 派送 发货 寄 送
        快递员 师傅 小哥 派送员
        破损 碎 坏 裂 压扁 破
        故障 坏 失灵 不工作 没反应
        维修 修 送修 返修
        保修 质保 免费修
        丢失 丢 不见 没收到 找不到
        少 缺 漏
        发错 错 不对 不符
        运费 邮费 快递费 包邮 免邮
        价格 价钱 多少钱 费用 收费
        优惠券 券 红包 满减 优惠 减免
        积分 分
        会员 等级 级别
        支付 付款 付 给钱
        分期 按月 分几次
        发票 票 报销 开票
        抬头 单位名称 公司名
        地址 住址 搬家
        物流 快递 到哪 进度 运单
        多久 几天 什么时候 时间 多长
        加急 快 急 次日
        偏远 西藏 新疆 乡下
        冷藏 冰 生鲜
        自提 自取 取件 提货 代收点
        签收 收货 拿到
        不在家 没人 上班 出门
        尺码 尺寸 码 大小
        手机号 号码 电话
        密码 口令
        登录 登 登陆
        锁定 锁 冻结
        注销 删除 关闭
        以旧换新 旧 回收 抵
        预售 定金 订金 预订
        尾款 余款
        比价 便宜 同款
        降价 便宜 差价
        有货 库存 现货 缺货 卖光 售完
        提醒 通知 告诉
        分批 拆单 几个包裹
        客服 人工
        照片 拍照 图片
        商店 店铺 网店
        修改 更改 改
        联系 找 咨询
        验证码 短信
        选择 选 挑
        限制 最多 最少 限额
        免费 不要钱
        注册 开户
        清洗 洗
        重量 公斤 多重
        """
}
